"""An account is opened, limited, frozen, unfrozen and closed; each only when the rules allow it."""

from uuid import UUID

import pytest

from accounts.domain.commands import Deposit, OpenAccount
from accounts.domain.errors import ErrorCode
from accounts.domain.money import MAX_AMOUNT, MAX_BALANCE, Money
from accounts.models import Account
from eventstore.events import new_id
from eventstore.models import Event
from tests.bank import Bank, refused


def test_an_account_opens_with_an_opening_deposit_in_one_event(bank: Bank) -> None:
    account_id = new_id()
    bank.do(OpenAccount(account_id, "Ann", "EUR", overdraft_limit=500, opening_deposit=100_000))

    row = Account.objects.get(id=account_id)
    assert (row.balance, row.available, row.version, row.status) == (100_000, 100_500, 1, "open")
    assert Event.objects.get().data["contra"] == "cash:EUR"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"owner": "   "}, ErrorCode.VALIDATION_FAILED),
        ({"owner": "x" * 201}, ErrorCode.VALIDATION_FAILED),
        ({"owner": "Ann\x07"}, ErrorCode.VALIDATION_FAILED),
        ({"currency": "XXX"}, ErrorCode.VALIDATION_FAILED),
        ({"product": "gold"}, ErrorCode.VALIDATION_FAILED),
        ({"overdraft_limit": -1}, ErrorCode.OVERDRAFT_NOT_ALLOWED),
        ({"product": "savings", "overdraft_limit": 1}, ErrorCode.OVERDRAFT_NOT_ALLOWED),
        ({"opening_deposit": -1}, ErrorCode.INVALID_AMOUNT),
        ({"opening_deposit": MAX_AMOUNT + 1}, ErrorCode.AMOUNT_TOO_LARGE),
    ],
)
def test_an_account_that_breaks_a_rule_is_not_opened(bank: Bank, fields: dict, code: ErrorCode) -> None:
    command = OpenAccount(**{"account_id": new_id(), "owner": "Ann", "currency": "EUR", **fields})
    assert refused(bank, lambda: bank.do(command)) is code


def test_an_account_is_opened_once(bank: Bank) -> None:
    account_id = bank.open()
    again = OpenAccount(account_id, "Ann", "EUR")
    assert refused(bank, lambda: bank.do(again)) is ErrorCode.CONCURRENCY_CONFLICT


def test_an_overdraft_may_be_used_up_to_its_limit_and_no_further(bank: Bank) -> None:
    ann = bank.open("10.00", overdraft="5.00")
    bank.withdraw(ann, "15.00")

    assert bank.balance(ann) == -500
    assert refused(bank, lambda: bank.withdraw(ann, "0.01")) is ErrorCode.INSUFFICIENT_FUNDS


def test_a_limit_is_not_lowered_below_what_is_used(bank: Bank) -> None:
    ann = bank.open("10.00", overdraft="5.00")
    bank.withdraw(ann, "13.00")

    assert refused(bank, lambda: bank.limit(ann, "2.99")) is ErrorCode.OVERDRAFT_IN_USE
    bank.limit(ann, "3.00")
    assert Account.objects.get(id=ann).available == 0


def test_a_frozen_account_neither_pays_nor_receives(bank: Bank) -> None:
    ann, bob = bank.open("10.00"), bank.open("10.00")
    bank.freeze(ann)

    for action in (
        lambda: bank.deposit(ann, "1"),
        lambda: bank.withdraw(ann, "1"),
        lambda: bank.transfer(ann, bob, "1"),
        lambda: bank.transfer(bob, ann, "1"),
        lambda: bank.close(ann),
        lambda: bank.freeze(ann),
    ):
        assert refused(bank, action) is ErrorCode.ACCOUNT_FROZEN

    bank.unfreeze(ann)
    bank.withdraw(ann, "10.00")
    assert refused(bank, lambda: bank.unfreeze(ann)) is ErrorCode.ACCOUNT_NOT_FROZEN


def test_a_closed_account_is_closed_for_good(bank: Bank) -> None:
    ann, bob = bank.open(), bank.open("5.00")
    bank.close(ann)

    for action in (
        lambda: bank.deposit(ann, "1"),
        lambda: bank.transfer(bob, ann, "1"),
        lambda: bank.freeze(ann),
        lambda: bank.unfreeze(ann),
        lambda: bank.limit(ann, "1"),
        lambda: bank.close(ann),
    ):
        assert refused(bank, action) is ErrorCode.ACCOUNT_CLOSED


@pytest.mark.parametrize("balance", ["0.01", "100"])
def test_an_account_with_money_in_it_is_not_closed(bank: Bank, balance: str) -> None:
    ann = bank.open(balance)
    assert refused(bank, lambda: bank.close(ann)) is ErrorCode.BALANCE_NOT_ZERO


def test_an_overdrawn_account_is_not_closed(bank: Bank) -> None:
    ann = bank.open(overdraft="5.00")
    bank.withdraw(ann, "1.00")
    assert refused(bank, lambda: bank.close(ann)) is ErrorCode.BALANCE_NOT_ZERO


def test_currencies_do_not_mix(bank: Bank) -> None:
    euros = bank.open("10.00")
    yen = Bank(currency="JPY").open("1000")

    assert refused(bank, lambda: bank.transfer(euros, yen, "1.00")) is ErrorCode.CURRENCY_MISMATCH
    assert refused(bank, lambda: bank.do(Deposit(euros, Money(1, "JPY")))) is ErrorCode.CURRENCY_MISMATCH


def test_a_transfer_to_the_same_or_to_no_account_is_refused(bank: Bank) -> None:
    ann = bank.open("10.00")
    assert refused(bank, lambda: bank.transfer(ann, ann, "1")) is ErrorCode.SAME_ACCOUNT
    assert refused(bank, lambda: bank.transfer(ann, UUID(int=1), "1")) is ErrorCode.ACCOUNT_NOT_FOUND


def test_no_balance_exceeds_what_an_account_may_hold(bank: Bank) -> None:
    ann = bank.open()
    Bank().do(Deposit(ann, Money(MAX_AMOUNT, "EUR")))
    for _ in range(3):
        bank.do(Deposit(ann, Money(MAX_AMOUNT, "EUR")))
    assert bank.balance(ann) == 4 * MAX_AMOUNT < MAX_BALANCE


@pytest.mark.parametrize("minor", [0, -1, MAX_AMOUNT + 1])
def test_an_impossible_amount_is_refused_however_it_came_in(bank: Bank, minor: int) -> None:
    ann = bank.open("10.00")
    code = refused(bank, lambda: bank.do(Deposit(ann, Money(minor, "EUR"))))
    assert code in (ErrorCode.INVALID_AMOUNT, ErrorCode.AMOUNT_TOO_LARGE)
