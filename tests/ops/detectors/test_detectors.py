"""Each detector is fed by what happens, and finds it; and finds nothing where nothing is wrong."""

import time
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from eventstore import store
from eventstore.appending import Opening
from eventstore.errors import OptimisticConcurrencyConflict, StoreBusy
from eventstore.events import Context
from eventstore.transaction import write_transaction
from ops import detectors
from ops.board import facts
from ops.database import locks
from ops.detectors import looking
from ops.detectors.looking import CannotLook, Eye
from ops.detectors.sessions import masked
from ops.operations import operation
from tests.bank import Bank
from tests.configured import configured
from tests.ops.detectors.conftest import in_hand
from tests.pools import all_connections_taken
from tests.processes import wait_until
from tests.threads import together

HOLD_FEED = "SELECT pg_advisory_xact_lock_shared(x'0F00000000000000'::bigint)"
"""As hold_feed() does at the beginning of an append."""


@pytest.fixture
def impatient() -> Iterator[None]:
    with configured(deadlock_operation_timeout=1, transaction_timeout=1):
        yield


def test_a_quiet_bank_has_no_findings(bank: Bank) -> None:
    bank.open("1.00")
    facts.tell()
    assert detectors.stuck_operations() == []
    assert detectors.blocked() == []
    assert detectors.long_transactions() == []
    assert detectors.held_connections() == []
    assert detectors.pool_pressure() == []


def test_an_operation_past_its_deadline_is_stuck_and_others_are_not() -> None:
    with operation("command", "Late", timeout=0.05) as late, operation("command", "Timely", timeout=60):
        late.step("locking")
        time.sleep(0.1)
        [found] = detectors.stuck_operations()
    assert found["subject"] == late.id
    assert (found["measured"] > found["threshold"], found["threshold"]) == (True, 0.05)
    assert "Late, locking" in found["reason"]
    assert detectors.stuck_operations() == []


def test_an_operation_is_not_stuck_before_its_deadline_however_near_that_is() -> None:
    with operation("command", "Slow", timeout=4.0):
        time.sleep(2.2)
        assert detectors.stuck_operations() == []


def test_a_job_without_a_deadline_is_stuck_when_it_does_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.detectors.boards.LONGEST_STEP", 0.05)
    with operation("job", "Moving") as moving, operation("job", "Still"):
        time.sleep(0.1)
        moving.step("2 of 3")
        assert [found["detail"]["operation"]["name"] for found in detectors.stuck_operations()] == ["Still"]


def test_who_blocks_whom_is_told_with_the_operations(bank: Bank, stranger: psycopg.Connection) -> None:
    ann = bank.open("1.00")
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
    select = f"SELECT 1 FROM lock_streams(ARRAY['{ann}']::uuid[])"
    with in_hand(select, timeout=60) as first:
        wait_until(lambda: len(detectors.blocked()) == 2)
        told = {entry["pid"]: entry for entry in detectors.blocked()}
        stranger.rollback()
    waiting, root = told[first.pid], told[stranger.info.backend_pid]
    assert waiting["blocked_by"] == [root["pid"]]
    assert (root["blocks"], root["blocked_by"], root["own"]) == ([first.pid], [], False)
    [op] = waiting["operations"]
    assert (op["name"], op["actor"]) == ("Slow", "client:slow")
    assert waiting["application"].startswith("bankes:")
    assert str(ann) not in waiting["statement"], "values are nobody's business here"
    assert detectors.blocked() == []


def test_a_transaction_that_sits_idle_and_one_that_lasts_are_found(bank: Bank, impatient: None) -> None:
    with in_hand("SELECT 1", timeout=60, sits=True) as idle:
        wait_until(lambda: len(detectors.long_transactions()) == 2)
        kinds = {found["kind"]: found for found in detectors.long_transactions()}
    assert set(kinds) == {"idle_in_transaction", "long_transaction"}
    session = kinds["idle_in_transaction"]["detail"]["session"]
    assert (session["pid"], session["state"]) == (idle.pid, "idle in transaction")
    assert detectors.long_transactions() == []


def test_an_open_append_that_holds_the_feed_back_is_found(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(locks._families, 0x0F, locks.Family(0x0F, "open append, which holds the feed back", 0.1))
    with in_hand(HOLD_FEED, timeout=60, sits=True) as holder:
        wait_until(lambda: bool(detectors.long_transactions()))
        [found] = detectors.long_transactions()
    assert (found["kind"], found["detail"]["session"]["pid"]) == ("lock_held", holder.pid)
    assert "holds the feed back" in found["reason"]


def test_real_deadlocks_are_counted_by_the_bank_and_by_postgresql(bank: Bank) -> None:
    """The bank's own locking order makes none, so two transactions take rows in opposite orders by hand."""
    accounts = sorted([bank.open(), bank.open()])
    before = detectors.deadlocks(60)
    ever = before["deadlocks_ever"]

    def lock_in(order: list[UUID]) -> str:
        try:
            with write_transaction() as exchange:
                for account_id in order:
                    Opening(exchange, [account_id]).fetch()
                    time.sleep(0.3)
        except Exception as error:
            return type(error).__name__
        return "done"

    outcomes = together([lambda: lock_in(accounts), lambda: lock_in(accounts[::-1])])

    assert sorted(outcomes) == ["TransientFailure", "done"]
    after = detectors.deadlocks(60)
    assert after["deadlocks"] == before["deadlocks"] + 1
    assert after["deadlock_count"] >= 1
    wait_until(lambda: detectors.deadlocks(60)["deadlocks_ever"] == ever + 1)


def test_lock_timeouts_and_version_conflicts_are_counted(bank: Bank, stranger: psycopg.Connection) -> None:
    ann = bank.open()
    before = detectors.deadlocks(60)
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (ann,))
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    with pytest.raises(StoreBusy):
        bank.deposit(ann, "1.00")
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    stranger.rollback()
    with pytest.raises(OptimisticConcurrencyConflict):
        store.append("account", [], expected={ann: 99}, context=Context(actor="t", source="t", reason="t"))

    after = detectors.deadlocks(60)
    assert (after["lock_timeouts"] - before["lock_timeouts"]) == 1, "leaving the line to wait alone is no timeout"
    assert (after["version_conflicts"] - before["version_conflicts"]) == 1


def test_an_exhausted_pool_blinds_nobody(bank: Bank) -> None:
    looking.close()
    with all_connections_taken():
        began = time.monotonic()
        assert detectors.blocked() == []
        assert time.monotonic() - began < 1


def test_without_postgresql_they_say_so_soon_and_the_boards_still_tell() -> None:
    with configured(database_url="postgresql://nobody:x@127.0.0.1:9/nowhere"):
        eye = Eye()
        began = time.monotonic()
        for _ in range(4):
            with pytest.raises(CannotLook, match="cannot be looked into"):
                eye.rows("SELECT 1")
        assert time.monotonic() - began < 3
    with operation("command", "Late", timeout=0.0):
        time.sleep(0.01)
        assert len(detectors.stuck_operations()) == 1


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1 FROM t WHERE owner = 'Ann O''Hara' AND n = 42", "SELECT ? FROM t WHERE owner = ? AND n = ?"),
        ("UPDATE t SET a = $1, b = 'cut off he", "UPDATE t SET a = $1, b = ?"),
        ("SELECT E'back\\'slash', $tag$ secret $tag$, $$ cut", "SELECT E?, ?, ?"),
        ("SELECT x1\n  FROM\tt2 LIMIT 3.5e7", "SELECT x1 FROM t2 LIMIT ?"),
    ],
)
def test_statements_are_shown_without_their_values(statement: str, shown: str) -> None:
    assert masked(statement) == shown
