"""Interest is reckoned when a month is over: exactly, by the balances and rates of its days."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import psycopg
import pytest
from django.db import ProgrammingError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.domain.commands import Deposit, OpenAccount, Withdraw
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.interest import Kind
from accounts.domain.money import Money
from accounts.interest import spans_of
from accounts.models import Interest, InterestMonth
from accounts.services import interest
from accounts.services.interest import book_interest
from eventstore.events import new_id
from eventstore.models import Event, IdempotencyRecord
from tests.accounts.earning import FEBRUARY, JANUARY, MARCH, on, rate, saver, settle, today_is
from tests.bank import Bank

TENTH = 100_000
"""10 %, in millionths."""


@pytest.fixture(autouse=True)
def in_february(monkeypatch: pytest.MonkeyPatch) -> None:
    today_is(monkeypatch, date(2026, 2, 3))


def amounts() -> dict[str, int]:
    """By month and kind."""
    return {f"{each.month:%m} {each.kind}": each.amount for each in Interest.objects.all()}


def test_a_month_is_booked_against_the_banks_own_account(bank: Bank) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()

    run = book_interest()

    assert (list(run.reckoned), run.booked, run.left, run.lapsed) == ([JANUARY], 1, 0, 0)
    assert amounts() == {"01 earned": 3_100}  # 3,650.00 at 10 % are 1.00 a day
    assert bank.balance(ann) == 365_000 + 3_100
    [due] = Interest.objects.all()
    posting = Event.objects.get(command_id=due.transaction_id)
    assert posting.event_type == "Deposited"
    assert (posting.data["contra"], posting.data["description"]) == ("interest:EUR", "Interest earned in 2026-01")
    assert (posting.metadata["actor"], posting.metadata["reason"]) == (
        "system:interest",
        "interest earned in 2026-01",
    )
    assert (due.status, due.tried_at) == ("booked", None)


def test_what_an_overdraft_costs_is_booked_as_a_withdrawal(bank: Bank) -> None:
    bob = new_id()
    on(bank, date(2025, 12, 1), OpenAccount(bob, "Bob", "EUR", overdraft_limit=1_000_000))
    on(bank, date(2025, 12, 1), Withdraw(bob, Money(73_000, "EUR")))
    rate(JANUARY, 0, TENTH, product="current")
    settle()

    book_interest()

    assert amounts() == {"01 owed": 620}
    assert bank.balance(bob) == -73_000 - 620
    assert Event.objects.order_by("-position")[0].event_type == "Withdrawn"


def test_a_day_counts_with_the_balance_at_its_end(bank: Bank) -> None:
    ann = saver(bank, day=date(2026, 1, 10))
    on(bank, date(2026, 1, 20), Withdraw(ann, Money(182_500, "EUR")), Deposit(ann, Money(1, "EUR")))
    on(bank, date(2026, 1, 20), Withdraw(ann, Money(1, "EUR")))
    on(bank, date(2026, 1, 31), Withdraw(ann, Money(182_500, "EUR")))
    rate(JANUARY, TENTH)
    settle()

    book_interest()

    assert amounts() == {"01 earned": 10 * 100 + 11 * 50}


def test_a_rate_counts_from_its_day_on_and_the_last_one_set_of_a_day_counts(bank: Bank) -> None:
    ann = saver(bank)
    rate(date(2026, 1, 11), 999_999)
    rate(date(2026, 1, 11), TENTH)
    rate(date(2026, 1, 21), 2 * TENTH)
    rate(date(2026, 1, 21), 999_999, currency="USD")
    rate(FEBRUARY, 999_999)
    settle()

    book_interest()

    assert amounts() == {"01 earned": 10 * 100 + 11 * 200}
    spans = [(span.since.day, span.days, span.rate) for span in spans_of([ann], JANUARY)[ann]]
    assert spans == [(11, 10, TENTH), (21, 11, 2 * TENTH)]


def test_accounts_of_other_products_and_currencies_and_without_a_balance_are_due_nothing(bank: Bank) -> None:
    saver(Bank("USD"))
    on(bank, date(2025, 12, 1), OpenAccount(new_id(), "Bob", "EUR", product="savings"))
    on(bank, date(2025, 12, 1), OpenAccount(new_id(), "Cy", "EUR", opening_deposit=365_000))
    saver(bank, balance=1)  # which comes to less than half a cent
    rate(JANUARY, TENTH)
    settle()

    assert book_interest().booked == 0
    assert amounts() == {}
    assert InterestMonth.objects.count() == 1


def test_months_that_were_missed_are_made_up_for_each_once(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    rate(date(2025, 12, 31), TENTH)
    settle()
    today_is(monkeypatch, date(2026, 3, 1))

    assert list(book_interest().reckoned) == [date(2025, 12, 1), JANUARY, FEBRUARY]
    assert list(book_interest().reckoned) == []

    assert amounts() == {"12 earned": 100, "01 earned": 3_100, "02 earned": 2_800}
    assert bank.balance(ann) == 365_000 + 6_000


def test_a_month_that_is_not_over_is_left_alone(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    saver(bank)
    rate(JANUARY, TENTH)
    settle()
    monkeypatch.setattr("accounts.interest.timezone.now", lambda: datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    assert list(book_interest().reckoned) == []

    monkeypatch.setattr("accounts.interest.timezone.now", lambda: datetime(2026, 2, 1, 0, 4, tzinfo=UTC))
    with pytest.raises(Refusal, match="2026-01 is not over") as refused:
        book_interest()

    assert refused.value.code is ErrorCode.VALIDATION_FAILED
    assert (amounts(), InterestMonth.objects.count()) == ({}, 0)


def test_a_month_of_which_the_read_model_lacks_postings_waits(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    on(bank, date(2026, 1, 15), Deposit(ann, Money(365_000, "EUR")))
    monkeypatch.setattr("accounts.interest.timezone.now", lambda: datetime.now(UTC))

    with pytest.raises(Refusal, match="daily_balances lacks postings of 2026-01"):
        interest.require_over(JANUARY)

    settle()
    interest.require_over(JANUARY)


def test_a_month_of_which_the_read_model_leaves_out_a_posting_waits_until_it_is_applied(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    event = Event.objects.order_by("-position")[0]
    sweeper.execute(
        "INSERT INTO dead_letters (projection, generation, aggregate_id, position, event_type, state, error,"
        " attempts, created_at) VALUES ('daily_balances', 1, %s, %s, 'Deposited', 'failed', 'x', 1, now())",
        (ann, event.position),
    )

    with pytest.raises(Refusal, match="daily_balances leaves out 1 events as dead letters"):
        book_interest()

    assert (Interest.objects.count(), bank.balance(ann)) == (0, 365_000)
    sweeper.execute("DELETE FROM dead_letters")
    assert book_interest().booked == 1


def test_reckoning_that_was_broken_off_finds_the_same_when_it_is_begun_anew(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    savers = [saver(bank) for _ in range(5)]
    rate(JANUARY, TENTH)
    settle()
    monkeypatch.setattr(interest, "ACCOUNTS_AT_ONCE", 2)
    asked: list[int] = []

    def breaks_off(accounts: list[UUID], month: date) -> object:
        asked.append(len(accounts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return spans_of(accounts, month)

    with monkeypatch.context() as patch:
        patch.setattr(interest, "spans_of", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            book_interest()
    assert (Interest.objects.count(), InterestMonth.objects.count()) == (2, 0)

    assert book_interest().booked == 5
    assert {bank.balance(account) for account in savers} == {368_100}


@pytest.mark.parametrize("column", ["earned = 1", "from_day = '2020-01-01'"])
def test_the_bank_cannot_alter_a_rate(bank: Bank, column: str) -> None:
    rate(JANUARY, TENTH)

    with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE interest_rates SET {column}")


movements = st.lists(st.tuples(st.integers(0, 70), st.integers(-40_000, 60_000)), max_size=12)
rate_changes = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 300_000), st.integers(0, 300_000)), min_size=1, max_size=5
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(movements=movements, rate_changes=rate_changes)
def test_it_is_what_counting_day_by_day_makes(
    bank: Bank, sweep: Callable[[], None], movements: list[tuple[int, int]], rate_changes: list[tuple[int, int, int]]
) -> None:
    """Days 0 to 70 begin with December 1; January is reckoned."""
    sweep()
    ann, begin = new_id(), date(2025, 12, 1)
    on(bank, begin, OpenAccount(ann, "Ann", "EUR", overdraft_limit=10**9))
    ends: dict[date, int] = defaultdict(int)
    for offset, minor in sorted(movements):
        if minor:
            kind = Deposit if minor > 0 else Withdraw
            on(bank, begin + timedelta(days=offset), kind(ann, Money(abs(minor), "EUR")))
            ends[begin + timedelta(days=offset)] += minor
    changes: dict[date, tuple[int, int]] = {}
    for offset, earned, owed in rate_changes:
        rate(begin + timedelta(days=offset), earned, owed, product="current")
        changes[begin + timedelta(days=offset)] = (earned, owed)
    settle()

    interest.reckon(JANUARY)

    sums = dict.fromkeys(Kind, Fraction())
    for number in range(31):
        day = JANUARY + timedelta(days=number)
        balance = sum(minor for moved, minor in ends.items() if moved <= day)
        before = [change for change in sorted(changes) if change <= day]
        earned, owed = changes[before[-1]] if before else (0, 0)
        kind, millionths = (Kind.EARNED, earned) if balance > 0 else (Kind.OWED, owed)
        sums[kind] += Fraction(abs(balance) * millionths, 365 * 1_000_000)
    assert {each.kind: each.amount for each in Interest.objects.all()} == {
        kind: round(total) for kind, total in sums.items() if round(total)
    }
    assert all(each.exact == Decimal(int(sums[Kind(each.kind)] * 365_000_000)) for each in Interest.objects.all())
    assert MARCH not in InterestMonth.objects.values_list("month", flat=True)
    assert IdempotencyRecord.objects.count() == 0
