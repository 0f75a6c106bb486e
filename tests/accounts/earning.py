"""A bank with months behind it, in which balances stood and rates counted."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from accounts.domain.commands import Command, Deposit, OpenAccount
from accounts.domain.money import Money
from accounts.models import InterestRate
from accounts.services import Executed, execute
from eventstore.events import new_id
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank

JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))


def on(bank: Bank, day: date, *commands: Command) -> None:
    """Recorded at noon of that day."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    outcomes = execute([bank.envelope(command) for command in commands], recorded_at=noon)
    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes


def rate(day: date, earned: int, owed: int = 0, *, product: str = "savings", currency: str = "EUR") -> InterestRate:
    return InterestRate.objects.create(
        product=product, currency=currency, from_day=day, earned=earned, owed=owed, asked_by="a", reason="a test"
    )


def saver(bank: Bank, *, balance: int = 365_000, day: date = date(2025, 12, 31)) -> UUID:
    """A savings account with a balance in minor units since a day."""
    account = new_id()
    on(bank, day, OpenAccount(account, "Ann", bank.currency, product="savings"))
    on(bank, day, Deposit(account, Money(balance, bank.currency)))
    return account


def today_is(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    """For the bank's own clock; what is booked bears the database's."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    monkeypatch.setattr("accounts.interest.timezone.now", lambda: noon)


def settle() -> None:
    catch_up(registered())
