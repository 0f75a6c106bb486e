"""What a proof of the books tells of each kind of damage, once, and that it goes through long books in pieces."""

import re
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from accounts.domain.account import AGGREGATE_TYPE
from accounts.domain.events import TransferReceived, TransferSent, to_data
from accounts.models import LedgerProof
from accounts.verification import feed, streams, verify
from accounts.verification.findings import KEPT
from eventstore import projections, store
from eventstore.events import Context, NewEvent
from eventstore.models import Event
from eventstore.projections.runner import catch_up
from tests.bank import Bank

EVENTS, STREAMS = 11, 2


@pytest.fixture(autouse=True)
def history(bank: Bank, sweeper: psycopg.Connection) -> None:
    """Two accounts with a transfer, a reversal and a hold; before the last movement the feed has a hole."""
    ann, bob = bank.open("100.00"), bank.open("3.00")
    bank.transfer(ann, bob, "10.00")
    bank.reverse(bank.withdraw(bob, "2.00").transaction_id)
    bank.capture(bank.hold(ann, "5.00"))
    sweeper.execute("SELECT nextval('events_position_seq'), nextval('events_position_seq')")
    bank.deposit(bob, "1.00")
    catch_up(projections.registered())


@pytest.fixture(params=["at once", "in pieces"], autouse=True)
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces: one event of the feed at a time, and two of the streams, which cuts each stream."""
    if request.param == "in pieces":
        monkeypatch.setattr(feed, "BATCH", 1)
        monkeypatch.setattr(streams, "BATCH", 2)


HOLE = "(SELECT max(position) - 1 FROM events)"
"""A position that a rolled back append has drawn."""
A_HOLD = (
    "INSERT INTO holds SELECT gen_random_uuid(), {account}, version, currency, contra, description, amount, "
    "captured, released, status, placed_at, expires_at, closed_at FROM holds"
)
A_DAY = (
    "INSERT INTO daily_balances (account_id, day, currency, closing_balance, credits, debits, postings, version) "
    "SELECT {account}, '2001-01-01', currency, 0, 0, 0, 0, 1 FROM daily_balances LIMIT 1"
)
DAMAGE = {
    "a head's version": ("UPDATE streams SET version = version + 1 WHERE version = 5", "its head says"),
    "a head's hash": ("UPDATE streams SET head_hash = sha256('x') WHERE version = 5", "its head says"),
    "a head's time": (
        "UPDATE streams SET last_timestamp = last_timestamp + interval '1 s' WHERE version = 5",
        "its head says",
    ),
    "a stream that is not there": (
        "INSERT INTO streams VALUES (gen_random_uuid(), 'account', 1, sha256('x'), now())",
        "streams: ",
    ),
    "an account that is not there": (
        "INSERT INTO accounts SELECT gen_random_uuid(), owner, currency, product, custodian, overdraft_limit, "
        "status, balance, held, version, opened_at, updated_at FROM accounts LIMIT 1",
        "accounts: ",
    ),
    "an account that is gone": ("DELETE FROM accounts WHERE version = 5", "is missing"),
    "when an account was opened": (
        "UPDATE accounts SET opened_at = opened_at - interval '1 s' WHERE version = 5",
        "has opened_at",
    ),
    "when an account has changed": (
        "UPDATE accounts SET updated_at = updated_at + interval '1 s' WHERE version = 5",
        "has updated_at",
    ),
    "a reversal by another": ("UPDATE reversals SET reversed_by = gen_random_uuid()", "which is not told"),
    "a reversal that is gone": ("DELETE FROM reversals", "which is not told"),
    "a reversal of nothing": (
        "INSERT INTO reversals VALUES (gen_random_uuid(), gen_random_uuid())",
        "is told to be reversed",
    ),
    "a day without movement": (
        A_DAY.format(account="account_id"),
        "has a row for 2001-01-01 that no event accounts for",
    ),
    "a day of nobody": (A_DAY.format(account="gen_random_uuid()"), "daily_balances: account .* has no events"),
    "a hold that was not placed": (A_HOLD.format(account="account_id"), "holds: hold .* has no event$"),
    "a hold of nobody": (A_HOLD.format(account="gen_random_uuid()"), "holds: account .* has no events"),
    "a transaction in a hole": (
        f"INSERT INTO transactions SELECT {HOLE}, account_id, 99, transaction_id, kind, amount, currency, balance, "
        "contra, description, value_date, recorded_at, reverses FROM transactions LIMIT 1",
        "transactions: row .* has no event",
    ),
    "a transaction at the end": (
        "INSERT INTO transactions SELECT 999999999, account_id, 99, transaction_id, kind, amount, currency, balance, "
        "contra, description, value_date, recorded_at, reverses FROM transactions LIMIT 1",
        "transactions: row .* has no event",
    ),
    "a first line in a hole": (f"UPDATE journal_lines SET id = 2 * {HOLE} WHERE id = {{line}}", "journal_lines: row"),
    "a second line in a hole": (
        f"UPDATE journal_lines SET id = 2 * {HOLE} + 1 WHERE id = {{line}}",
        "journal_lines: row",
    ),
}


def test_sound_books_are_proved_at_once_and_in_pieces() -> None:
    told: list[tuple[int, int]] = []

    proved = verify(lambda done, total: told.append((done, total)))

    assert proved.first_differences == []
    assert (proved.events, proved.streams, proved.differences) == (EVENTS, STREAMS, 0)
    assert proved.position == Event.objects.latest("position").position
    assert told[-1] == (2 * EVENTS, 2 * EVENTS)
    assert told == sorted(told)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_once_and_as_what_it_is(damage: str, sweeper: psycopg.Connection) -> None:
    statement, words = DAMAGE[damage]
    [line] = sweeper.execute("SELECT max(id) FROM journal_lines").fetchone() or ()
    assert sweeper.execute(statement.format(line=line)).rowcount == 1

    proved = verify()

    moved = "line in a hole" in damage  # it is missing where it was
    assert proved.differences == len(proved.first_differences) == (2 if moved else 1)
    assert any(re.search(words, sentence) for sentence in proved.first_differences), proved.first_differences
    assert LedgerProof.objects.get().differences == proved.differences


@pytest.mark.parametrize("version", [2, 6])
def test_an_event_that_cannot_be_read_costs_no_other_its_proof(version: int, sweeper: psycopg.Connection) -> None:
    """In the midst of the feed, and at its end."""
    [(position,)] = sweeper.execute(
        "UPDATE events SET data = data - 'amount' WHERE version = %s AND aggregate_id = "
        "(SELECT aggregate_id FROM streams WHERE version = 6) RETURNING position",
        (version,),
    ).fetchall()

    [stream, *others] = verify().first_differences
    days = [sentence for sentence in others if sentence.startswith("ledger_days: ")]
    rows = [sentence for sentence in others if sentence not in days]

    assert f"version {version}: its hash does not fit its content" in stream
    assert set(rows) == {
        f"journal_lines: row {2 * position + 1} has no event",
        f"journal_lines: row {2 * position} has no event",
        f"transactions: row {position} has no event",
    }
    assert days, "sums of which one event is not known"


def test_what_two_currencies_make_up_for_is_no_balance(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann, yuki = bank.open("5.00"), Bank(currency="JPY").open("500")
    today = datetime.now(UTC).date()

    def half(account_id: UUID, kind: type, amount: int, currency: str, other: UUID) -> NewEvent:
        event = kind(
            amount=amount, currency=currency, contra=f"account:{other}", value_date=today, balance=500 + amount
        )
        return NewEvent(account_id, kind.__name__, to_data(event))

    transaction = store.append(
        AGGREGATE_TYPE,
        [half(ann, TransferSent, -5, "EUR", yuki), half(yuki, TransferReceived, 5, "JPY", ann)],
        expected={ann: 2, yuki: 2},
        context=Context(actor="system:test", source="test"),
    )

    told = verify().first_differences

    assert f"transaction {transaction} does not sum to zero: -5 minor units of EUR" in told
    assert f"transaction {transaction} does not sum to zero: 5 minor units of JPY" in told


def test_of_many_differences_all_are_counted_and_the_first_are_told(sweeper: psycopg.Connection) -> None:
    for _ in range(KEPT + 2):
        sweeper.execute("INSERT INTO reversals VALUES (gen_random_uuid(), gen_random_uuid())")

    proved = verify()

    assert proved.differences == KEPT + 2
    assert len(proved.first_differences) == KEPT


def test_a_proof_sees_the_books_of_one_moment(bank: Bank, sweeper: psycopg.Connection) -> None:
    """What is written while it reads is for the next one."""
    written: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        if not written:
            sweeper.execute("UPDATE accounts SET balance = balance + 1")
            sweeper.execute("DELETE FROM journal_lines")
            written.append(done)

    assert verify(meanwhile).differences == 0
    assert written
    assert verify().differences > 0
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
