"""A transfer moves money between two accounts, in one piece or not at all."""

import pytest

from accounts.domain.errors import ErrorCode, Refusal
from eventstore.models import Event
from tests.bank import Bank


def test_money_leaves_one_account_and_arrives_on_the_other(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open("5.00")

    done = bank.transfer(ann, bob, "30.00")

    assert (bank.balance(ann), bank.balance(bob)) == (7000, 3500)
    kinds = (
        Event.objects.filter(command_id=done.transaction_id).order_by("position").values_list("event_type", flat=True)
    )
    assert list(kinds) == ["TransferSent", "TransferReceived"]


def test_more_than_is_available_is_refused_and_nothing_changes(bank: Bank) -> None:
    ann, bob = bank.open("10.00", overdraft="5.00"), bank.open()
    before = bank.footprint()

    with pytest.raises(Refusal) as refused:
        bank.transfer(ann, bob, "15.01")

    assert refused.value.code is ErrorCode.INSUFFICIENT_FUNDS
    assert refused.value.extra["available"] == "15.00"
    assert bank.footprint() == before
