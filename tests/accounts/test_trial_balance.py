"""The books of a day: all ledger accounts, which sum to zero."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from accounts.domain.commands import Deposit, OpenAccount, Transfer, Withdraw
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import Money
from accounts.models import Account
from accounts.services import Executed, execute
from accounts.trial_balance import Entry, TrialBalance, trial_balance
from eventstore.events import new_id
from eventstore.models import DeadLetter, Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank

TODAY = datetime.now(UTC).date()


def entries(found: TrialBalance, currency: str = "EUR") -> dict[str, Entry]:
    return {
        entry.ledger_account: entry for books in found.books if books.currency == currency for entry in books.entries
    }


def on(bank: Bank, day: date, *commands: object) -> None:
    """Recorded at noon of that day, which lies ahead."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    outcomes = execute([bank.envelope(command) for command in commands], recorded_at=noon)  # type: ignore[arg-type]
    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes


def test_customers_are_one_account_and_the_banks_own_are_what_they_are_not(bank: Bank) -> None:
    ann, bob = bank.open("100.00"), bank.open()
    bank.transfer(ann, bob, "30.00")
    bank.withdraw(bob, "10.00")
    catch_up(registered())

    found = trial_balance(TODAY)

    assert entries(found) == {
        "cash:EUR": Entry("cash:EUR", 0, 1000, -10000, 2),
        "customers": Entry("customers", 0, 13000, -4000, 4),
    }
    assert entries(found)["customers"].closing == sum(Account.objects.values_list("balance", flat=True))
    assert found.is_balanced
    assert (found.is_final, found.lacks) == (False, "")


def test_a_day_opens_with_what_the_day_before_closed_with(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = new_id()
    first, idle, third = (TODAY + timedelta(days=days) for days in (1, 2, 3))
    on(bank, first, OpenAccount(ann, "Ann", "EUR"), Deposit(ann, Money(10000, "EUR")))
    on(bank, third, Withdraw(ann, Money(2500, "EUR")))
    catch_up(registered())
    after = datetime.combine(third, datetime.min.time(), UTC) + timedelta(days=2)
    monkeypatch.setattr("accounts.trial_balance.timezone.now", lambda: after)

    days = {day: entries(trial_balance(day))["customers"] for day in (first, idle, third)}

    assert [(days[day].opening, days[day].closing, days[day].lines) for day in (first, idle, third)] == [
        (0, 10000, 1),
        (10000, 10000, 0),
        (10000, 7500, 1),
    ]
    assert entries(trial_balance(TODAY)) == {}
    assert all(trial_balance(day).is_balanced and trial_balance(day).is_final for day in days)


def test_a_day_has_room_for_whatever_moves_on_it(bank: Bank, sweeper: psycopg.Connection) -> None:
    """A million of the largest movements are more than a bigint holds. A bulk load brings so many in minutes, and a
    day without room for more would park every account of its currency."""
    room = 2**63 - 200
    bank.open("1.00")
    catch_up(registered())
    sweeper.execute("UPDATE ledger_days SET credits = credits + %(room)s, debits = debits - %(room)s", {"room": room})
    bank.open("100.00")
    catch_up(registered())

    found = trial_balance(TODAY)

    assert not DeadLetter.objects.exists()
    assert entries(found) == {
        "cash:EUR": Entry("cash:EUR", 0, room, -room - 10100, 2),
        "customers": Entry("customers", 0, room + 10100, -room, 2),
    }
    assert found.is_balanced


def test_each_currency_has_books_of_its_own(bank: Bank) -> None:
    bank.open("100.00")
    Bank("JPY").open("700")
    catch_up(registered())

    found = trial_balance(TODAY)

    assert [books.currency for books in found.books] == ["EUR", "JPY"]
    assert entries(found, "JPY")["customers"].closing == 700
    assert found.is_balanced


def test_what_is_not_counted_yet_is_told(bank: Bank) -> None:
    assert not trial_balance(TODAY).lacks
    ann = bank.open("100.00")
    assert trial_balance(TODAY).lacks
    catch_up(registered())
    assert not trial_balance(TODAY).lacks

    bank.deposit(ann, "1.00")

    assert trial_balance(TODAY).lacks
    assert not trial_balance(TODAY - timedelta(days=1)).lacks
    assert entries(trial_balance(TODAY))["customers"].closing == 10000


@pytest.mark.parametrize("state", ["failed", "parked", "discarded"])
def test_what_is_left_out_as_a_dead_letter_is_told_until_it_is_applied(
    bank: Bank, sweeper: psycopg.Connection, state: str
) -> None:
    bank.open("100.00")
    catch_up(registered())
    event = Event.objects.order_by("-position")[0]
    sweeper.execute(
        "INSERT INTO dead_letters (projection, generation, aggregate_id, position, event_type, state, error,"
        " attempts, created_at) VALUES ('ledger_days', 1, %s, %s, 'Deposited', %s, 'x', 1, now())",
        (event.aggregate_id, event.position, state),
    )

    found = trial_balance(TODAY)

    assert f"ledger_days leaves out 1 events as dead letters (1 {state})" in found.lacks
    assert not found.is_final
    assert trial_balance(TODAY - timedelta(days=1)).lacks == ""
    sweeper.execute("DELETE FROM dead_letters")
    assert trial_balance(TODAY).lacks == ""


def test_one_side_of_a_transfer_is_told(bank: Bank, sweeper: psycopg.Connection) -> None:
    bank.transfer(bank.open("100.00"), bank.open(), "30.00")
    catch_up(registered())
    sweeper.execute("UPDATE ledger_days SET credits = credits - 3000 WHERE ledger_account = 'customers'")

    found = trial_balance(TODAY)

    assert not found.is_balanced
    assert found.books[0].total.closing == -3000


def test_a_day_that_has_not_begun_has_no_books() -> None:
    with pytest.raises(Refusal, match="has not begun") as refused:
        trial_balance(TODAY + timedelta(days=1))
    assert (refused.value.code, refused.value.field) == (ErrorCode.VALIDATION_FAILED, "day")


def test_many_days_and_transfers_add_up_to_the_accounts(bank: Bank) -> None:
    ann, bob = new_id(), new_id()
    opened = [OpenAccount(account, "Ann", "EUR", opening_deposit=50000) for account in (ann, bob)]
    on(bank, TODAY + timedelta(days=1), *opened)
    for day in range(2, 9):
        on(bank, TODAY + timedelta(days=day), Transfer(ann, bob, Money(day, "EUR")), Withdraw(bob, Money(1, "EUR")))
        catch_up(registered())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.trial_balance.timezone.now", lambda: datetime.now(UTC) + timedelta(days=30))
        found = trial_balance(TODAY + timedelta(days=30))

    assert entries(found)["customers"].closing == sum(Account.objects.values_list("balance", flat=True))
    assert found.is_balanced
