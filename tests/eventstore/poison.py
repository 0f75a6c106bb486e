"""An account with an event that a read model cannot take, until that is mended."""

from uuid import UUID

from accounts.models import Transaction
from tests.bank import Bank


def poisoned(bank: Bank) -> tuple[UUID, UUID]:
    """One account with a poison event between sound ones, another without."""
    sick, well = bank.open("1.00"), bank.open("1.00")
    bank.deposit(sick, "2.00")
    bank.deposit(sick, "6.66")
    for _ in range(3):
        bank.transfer(well, sick, "0.10")
        bank.deposit(well, "3.00")
    return sick, well


def amounts(account_id: UUID) -> list[int]:
    return list(
        Transaction.objects.filter(account_id=account_id).order_by("version").values_list("amount", flat=True)
    )
