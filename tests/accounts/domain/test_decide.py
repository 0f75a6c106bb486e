"""Rules that need no database to be shown."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from accounts.domain import commands as c
from accounts.domain.account import Account, Status
from accounts.domain.decide import _RULES, decide
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import Facts
from accounts.domain.money import MAX_BALANCE, Money

ANN = UUID(int=1)


def account(**changes: object) -> Account:
    fields = {
        "id": ANN,
        "owner": "Ann",
        "currency": "EUR",
        "product": "current",
        "custodian": "bank",
        "overdraft_limit": 0,
        "status": Status.OPEN,
        "balance": 0,
        "held": 0,
        "version": 1,
    }
    return Account(**{**fields, **changes})  # type: ignore[arg-type]


def facts(state: Account, **changes: object) -> Facts:
    return Facts(accounts={state.id: state}, now=datetime(2026, 1, 2, tzinfo=UTC), **changes)  # type: ignore[arg-type]


def test_every_command_has_a_rule() -> None:
    assert set(_RULES) == set(c.Command.__args__)


def test_what_is_held_may_not_be_spent() -> None:
    state = account(balance=1000, held=400)
    with pytest.raises(Refusal) as refused:
        decide(c.Withdraw(ANN, Money(601, "EUR")), facts(state))
    assert refused.value.extra["available"] == "6.00"
    assert decide(c.Withdraw(ANN, Money(600, "EUR")), facts(state))


def test_an_account_with_a_hold_is_not_closed() -> None:
    with pytest.raises(Refusal) as refused:
        decide(c.CloseAccount(ANN), facts(account(held=1)))
    assert refused.value.code is ErrorCode.BALANCE_NOT_ZERO


def test_the_balance_limit_is_enforced() -> None:
    with pytest.raises(Refusal) as refused:
        decide(c.Deposit(ANN, Money(1, "EUR")), facts(account(balance=MAX_BALANCE)))
    assert refused.value.code is ErrorCode.BALANCE_LIMIT_EXCEEDED


def test_to_a_caller_without_care_of_it_an_account_does_not_exist() -> None:
    state = account(balance=1000, custodian="client:acme")
    with pytest.raises(Refusal) as refused:
        decide(c.Withdraw(ANN, Money(1, "EUR")), facts(state, custodian="client:other"))
    assert refused.value.code is ErrorCode.ACCOUNT_NOT_FOUND
    assert decide(c.Withdraw(ANN, Money(1, "EUR")), facts(state, custodian="client:acme"))


def test_a_movement_counts_from_the_day_on_which_it_is_booked() -> None:
    [(_, event)] = decide(c.Deposit(ANN, Money(5, "EUR"), c.InternalAccount.WIRE), facts(account()))
    assert event.value_date == date(2026, 1, 2)
    assert event.contra == "wire:EUR"
