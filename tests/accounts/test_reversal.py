"""A transaction is undone once, by a new one that is linked to it."""

import pytest

from accounts.domain.commands import OpenAccount
from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Reversal
from eventstore.events import new_id
from eventstore.models import Event
from tests.bank import Bank
from tests.threads import together


def test_a_reversed_transfer_puts_both_accounts_back_and_names_the_original(bank: Bank) -> None:
    ann, bob = bank.open("10.00"), bank.open("1.00")
    moved = bank.transfer(ann, bob, "4.00")
    undone = bank.reverse(moved.transaction_id)

    assert (bank.balance(ann), bank.balance(bob)) == (1000, 100)
    for event in Event.objects.filter(command_id=undone.transaction_id):
        assert event.data["reverses"] == str(moved.transaction_id)
        original = Event.objects.get(aggregate_id=event.aggregate_id, version=event.data["reverses_version"])
        assert original.data["amount"] == -event.data["amount"]
    assert Reversal.objects.get().reversed_by == undone.transaction_id


def test_nothing_is_reversed_twice_even_at_the_same_moment(bank: Bank) -> None:
    ann = bank.open("10.00")
    fee = bank.withdraw(ann, "4.00")

    def attempt() -> str:
        try:
            bank.reverse(fee.transaction_id)
        except Refusal as refusal:
            return refusal.code.value
        return "done"

    assert sorted(together([attempt] * 8)) == ["already_reversed"] * 7 + ["done"]
    assert bank.balance(ann) == 1000


def test_a_reversal_is_not_itself_reversed(bank: Bank) -> None:
    ann = bank.open("10.00")
    undone = bank.reverse(bank.withdraw(ann, "4.00").transaction_id)
    before = bank.footprint()

    with pytest.raises(Refusal) as refused:
        bank.reverse(undone.transaction_id)

    assert refused.value.code is ErrorCode.NOT_REVERSIBLE
    assert bank.footprint() == before


def test_money_that_was_spent_meanwhile_is_not_taken_back(bank: Bank) -> None:
    ann = bank.open()
    salary = bank.deposit(ann, "10.00")
    bank.withdraw(ann, "6.00")
    before = bank.footprint()

    with pytest.raises(Refusal) as refused:
        bank.reverse(salary.transaction_id)

    assert refused.value.code is ErrorCode.INSUFFICIENT_FUNDS
    assert bank.footprint() == before


def test_what_moved_no_money_cannot_be_reversed(bank: Bank) -> None:
    ann = new_id()
    opened = bank.do(OpenAccount(ann, "Ann", "EUR"))
    frozen = bank.freeze(ann)
    for transaction_id, code in (
        (opened.transaction_id, ErrorCode.NOT_REVERSIBLE),
        (frozen.transaction_id, ErrorCode.TRANSACTION_NOT_FOUND),
        (new_id(), ErrorCode.TRANSACTION_NOT_FOUND),
    ):
        with pytest.raises(Refusal) as refused:
            bank.reverse(transaction_id)
        assert refused.value.code is code
