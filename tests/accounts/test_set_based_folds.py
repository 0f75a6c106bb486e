"""A projection's statement means the same as its Python fold, whatever the events and however they are cut up."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from accounts.domain.commands import Deposit, OpenAccount, Transfer, Withdraw
from accounts.domain.errors import Refusal
from accounts.domain.money import Money
from accounts.models import DailyBalance, JournalLine, LedgerDay, Transaction
from accounts.projections.transactions import Transactions
from accounts.services import execute
from eventstore import projections
from eventstore.events import new_id
from eventstore.models import DeadLetter, Event
from eventstore.projections.base import Projection
from eventstore.projections.rebuild import rebuild
from eventstore.projections.runner import Runner, catch_up
from tests.bank import Bank

SET_BASED = ["daily_balances", "journal", "ledger_days", "transactions"]


def chosen() -> list[Projection]:
    return [projection for projection in projections.registered() if projection.set_based]


def rows() -> tuple[list[dict[str, object]], ...]:
    return (
        list(Transaction.objects.order_by("position").values()),
        list(JournalLine.objects.order_by("id").values()),
        [
            {name: value for name, value in row.items() if name != "id"}
            for row in DailyBalance.objects.order_by("account_id", "day").values()
        ],
        [
            {name: value for name, value in row.items() if name != "id"}
            for row in LedgerDay.objects.order_by("day", "currency", "ledger_account").values()
        ],
    )


def history(bank: Bank, dice: random.Random) -> None:
    """Every kind of event, over some days, with refusals left out."""
    accounts = [bank.open(dice.choice(["0", "50.00"]), overdraft=dice.choice(["0", "10.00"])) for _ in range(4)]
    posted: list[UUID] = []
    actions: list[Callable[[UUID, UUID, str], object]] = [
        lambda one, _, amount: posted.append(bank.deposit(one, amount).transaction_id),
        lambda one, _, amount: posted.append(bank.withdraw(one, amount).transaction_id),
        lambda one, other, amount: posted.append(bank.transfer(one, other, amount).transaction_id),
        lambda *_: bank.reverse(dice.choice(posted)) if posted else None,
        lambda one, _, amount: bank.limit(one, amount),
        lambda one, *_: bank.freeze(one),
        lambda one, *_: bank.unfreeze(one),
        lambda one, *_: bank.close(one),
    ]
    for _ in range(60):
        one, other = dice.sample(accounts, 2)
        action = dice.choices(actions, weights=[8, 8, 8, 4, 1, 1, 3, 1])[0]
        try:
            action(one, other, f"{dice.randint(1, 30)}.{dice.randint(0, 99):02}")
        except Refusal:
            continue
    begin = datetime.now(UTC) + timedelta(minutes=1)
    for day in range(4):
        one, other = new_id(), new_id()
        amount = Money(dice.randint(100, 500), "EUR")
        moved = [
            OpenAccount(one, "Ann", "EUR", opening_deposit=amount.minor),
            OpenAccount(other, "Bob", "EUR"),
            Deposit(other, amount, description=dice.choice(["", "a\tb\\n \"c\" '%s' {d}", "żółw"])),
            Transfer(other, one, Money(1, "EUR")),
            Withdraw(one, Money(7, "EUR")),
        ]
        execute([bank.envelope(command) for command in moved], recorded_at=begin + timedelta(days=day))


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_statement_and_fold_give_the_same_rows(bank: Bank, monkeypatch: pytest.MonkeyPatch, batch_size: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    history(bank, random.Random(seed))
    assert sorted(projection.name for projection in chosen()) == SET_BASED

    with monkeypatch.context() as patch:
        for projection in chosen():
            patch.setattr(type(projection), "gather", lambda *_: pytest.fail("it was folded in Python"))
            runner = Runner(projection, batch_size=batch_size)
            while runner.step():
                pass
    by_statement = rows()
    assert all(by_statement)

    for projection in chosen():
        monkeypatch.setattr(type(projection), "set_based", "")
        assert rebuild(projection, lambda done, total: None).repaired == 0
    assert rows() == by_statement


@pytest.mark.parametrize("positions", [1, 7, 100_000])
def test_a_rebuild_by_statement_makes_what_was_folded_event_by_event(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, positions: int
) -> None:
    history(bank, random.Random(positions))
    with monkeypatch.context() as patch:
        for projection in chosen():
            patch.setattr(type(projection), "set_based", "")
        catch_up(projections.registered())
    folded = rows()
    assert all(folded)

    monkeypatch.setattr("eventstore.projections.rebuild.RANGE", positions)
    for projection in chosen():
        monkeypatch.setattr(type(projection), "gather", lambda *_: pytest.fail("it was folded in Python"))
        report = rebuild(projection, lambda done, total: None)
        assert (report.events, report.repaired) == (Event.objects.count(), 0)
    assert rows() == folded


def test_a_rebuild_whose_statement_fails_takes_the_events_one_by_one(bank: Bank, sweeper: psycopg.Connection) -> None:
    sick, well = bank.open("1.00"), bank.open("1.00")
    catch_up([Transactions()])
    bank.deposit(sick, "6.66")
    bank.deposit(well, "3.00")
    sweeper.execute("ALTER TABLE transactions ADD CONSTRAINT no_666 CHECK (amount <> 666)")
    try:
        report = rebuild(Transactions(), lambda done, total: None)
    finally:
        sweeper.execute("ALTER TABLE transactions DROP CONSTRAINT no_666")

    assert report.swapped
    letters = DeadLetter.objects.exclude(state="superseded")
    assert list(letters.values_list("aggregate_id", "version", "state")) == [(sick, 3, "failed")]
    assert list(Transaction.objects.order_by("position").values_list("account_id", "amount")) == [
        (sick, 100),
        (well, 100),
        (well, 300),
    ]


def test_what_the_statement_cannot_take_is_taken_one_by_one(bank: Bank, sweeper: psycopg.Connection) -> None:
    """One event fails: its stream is parked, and the others of the same batch are applied."""
    sick, well = bank.open("1.00"), bank.open("1.00")
    bank.deposit(sick, "6.66")
    bank.deposit(sick, "2.00")
    bank.deposit(well, "3.00")
    sweeper.execute("ALTER TABLE transactions ADD CONSTRAINT no_666 CHECK (amount <> 666)")
    try:
        catch_up([Transactions()])
    finally:
        sweeper.execute("ALTER TABLE transactions DROP CONSTRAINT no_666")

    assert list(DeadLetter.objects.order_by("version").values_list("aggregate_id", "version", "state")) == [
        (sick, 3, "failed"),
        (sick, 4, "parked"),
    ]
    assert list(Transaction.objects.order_by("position").values_list("account_id", "amount")) == [
        (sick, 100),
        (well, 100),
        (well, 300),
    ]
