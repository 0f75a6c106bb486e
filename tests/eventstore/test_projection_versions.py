"""Code and tables of different versions: newer code makes tables anew, older code waits; nothing is mixed."""

import threading
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Transaction
from accounts.projections.journal import Journal
from accounts.projections.rows import TransactionRow, transaction_rows
from accounts.projections.transactions import Transactions
from eventstore import projections
from eventstore.events import StoredEvent
from eventstore.models import DeadLetter, ProjectionState
from eventstore.projections import base, checkpoints, dead_letters
from eventstore.projections import runner as running
from eventstore.projections.applying import ProjectionBroken
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Outdated, Paused
from eventstore.projections.dead_letters import NotResolvable
from eventstore.projections.rebuild import tables_stay, undo
from eventstore.projections.replay import replay
from eventstore.projections.runner import Runner, begin_later, catch_up
from ops.database.locks import advisory_key
from tests.bank import Bank
from tests.eventstore.test_projections import some_history
from tests.processes import wait_until
from tests.threads import together


def test_a_projection_of_a_newer_version_is_rebuilt_before_it_goes_on(bank: Bank) -> None:
    some_history(bank)
    catch_up([Transactions()])

    catch_up([Newer()])
    assert Transaction.objects.count() == 23
    state = ProjectionState.objects.get(name="transactions")
    assert (state.code_version, state.active_generation) == (2, 2)


def test_code_that_is_older_than_the_tables_waits_from_its_start_and_says_for_what(bank: Bank) -> None:
    ann = bank.open("1.00")
    catch_up([Newer()])
    bank.deposit(ann, "2.00")

    older = Runner(Transactions())

    assert older.try_step() == 0
    with pytest.raises(Paused, match="this process has version 1: run the newer code here"):
        older.step()
    with pytest.raises(CommandError, match="this process has version 1: run the newer code here"):
        call_command("run_projections", "--once", "--only", "transactions")
    assert (descriptions(), transactions_state().code_version) == (["by newer code"], 2)


def test_a_service_that_is_told_to_end_throws_its_rebuild_away_and_begins_it_anew_later(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    bank.open("1.00")
    catch_up([Transactions()])
    stop = threading.Event()
    stop.set()

    Runner(Newer(), stop=stop)

    assert (descriptions(), transactions_state().code_version) == ([""], 1)
    assert sweeper.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'shadow'").fetchone() == (0,)
    Runner(Newer())
    assert (descriptions(), transactions_state().code_version) == (["by newer code"], 2)


class Newer(Transactions):
    """Tells of itself in each row that it makes."""

    version = 2
    set_based = ""

    def gather(self, stored: StoredEvent, batch: list[TransactionRow]) -> None:
        batch += [row._replace(description="by newer code") for row in transaction_rows(stored)]


def descriptions() -> list[str]:
    return list(Transaction.objects.order_by("position").values_list("description", flat=True))


def transactions_state() -> ProjectionState:
    return ProjectionState.objects.get(name="transactions")


def test_older_code_waits_while_newer_code_goes_on(bank: Bank) -> None:
    ann = bank.open("1.00")
    older = Runner(Transactions())
    older.step()
    newer = Runner(Newer())
    bank.deposit(ann, "2.00")

    assert older.try_step() == 0
    with pytest.raises(Paused, match=r"filled by version 2 of its code; this process has version 1: run the newer"):
        older.step()
    assert descriptions() == ["by newer code"]
    assert newer.try_step() == 1
    assert descriptions() == ["by newer code"] * 2
    assert (transactions_state().state, transactions_state().code_version) == ("running", 2)


def test_tables_that_older_code_filled_are_put_back_as_it_left_them_and_wait_for_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = bank.open("1.00")
    catch_up([Transactions()])
    bank.deposit(ann, "2.00")  # which the older code has yet to take
    newer = Runner(Newer())
    newer.step()

    undo(Newer())
    bank.deposit(ann, "3.00")

    assert newer.try_step() == 0
    state = transactions_state()
    assert (state.state, state.code_version, descriptions()) == ("paused", 1, [""])
    assert "filled by version 1 of its code; this process has version 2: make it anew" in state.reason
    monkeypatch.setitem(base._registered, "transactions", Newer())
    with pytest.raises(Outdated):
        replay(ann, from_version=1, dry_run=False, progress=lambda done, total: None)
    assert descriptions() == [""]

    catch_up([Transactions()])
    assert descriptions() == [""] * 3
    call_command("verify_ledger")
    catch_up([Newer()])
    assert descriptions() == ["by newer code"] * 3
    assert transactions_state().state == "running"


def test_newer_code_lets_the_others_go_on_where_it_may_not_make_the_tables_anew_yet(bank: Bank) -> None:
    ann = bank.open("1.00")
    catch_up(projections.registered())
    with connection.cursor() as cursor:
        checkpoints.pause(cursor, "transactions", by="staff:somebody", reason="a test")
    bank.deposit(ann, "2.00")

    catch_up([Journal()])
    assert Runner(Newer()).try_step() == 0
    assert (descriptions(), transactions_state().paused_by) == ([""], "staff:somebody")

    with connection.cursor() as cursor:
        checkpoints.resume(cursor, "transactions")
    with tables_stay(["transactions"]):
        [taken] = together([lambda: Runner(Newer()).try_step()])
    assert (taken, descriptions(), transactions_state().state) == (0, [""], "paused")
    catch_up([Newer()])
    assert (descriptions(), transactions_state().state) == (["by newer code"] * 2, "running")


def test_a_service_begins_later_what_somebody_else_was_at_work_on_at_its_start(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another process rebuilds the same tables, and dies of it."""
    monkeypatch.setattr(running, "BEGIN_AGAIN_IN", 0.05)
    ann = bank.open("1.00")
    catch_up([Transactions()])
    bank.deposit(ann, "2.00")
    stop = threading.Event()
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (advisory_key("rebuild:transactions"),))
        service = threading.Thread(target=_follow, args=(Newer(), stop))
        service.start()
        try:
            wait_until(lambda: transactions_state().state == "paused")
            assert descriptions() == [""]
            other.close()  # it dies
            wait_until(lambda: descriptions() == ["by newer code"] * 2)
            assert transactions_state().code_version == 2
            wait_until(lambda: "begin-later" not in {thread.name for thread in threading.enumerate()})
        finally:
            stop.set()
            service.join(10)


def test_a_rebuild_that_fails_later_is_left_to_the_next_start(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BEGIN_AGAIN_IN", 0.05)
    bank.open("1.00")
    catch_up([Transactions()])
    with connection.cursor() as cursor:
        checkpoints.pause(cursor, "transactions", by="staff:somebody", reason="a test")
    tries: list[str] = []

    def fails(*_: object) -> None:
        tries.append("once")
        raise ProjectionBroken("too much failed at once")

    stop = threading.Event()
    begin_later([Runner(Newer())], stop)
    monkeypatch.setattr(running, "rebuild", fails)
    with connection.cursor() as cursor:
        checkpoints.resume(cursor, "transactions")
    wait_until(lambda: "begin-later" not in {thread.name for thread in threading.enumerate()})

    assert tries == ["once"]
    assert (descriptions(), transactions_state().code_version) == ([""], 1)


def _follow(projection: Projection[Any], stop: threading.Event) -> None:
    try:
        running.follow([projection], stop)
    finally:
        connection.close()


def test_a_letter_is_not_retried_by_code_that_does_not_fit_the_tables(bank: Bank) -> None:
    ann = bank.open("1.00")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Newer, "gather", lambda *_: 1 / 0)
        catch_up([Newer()])
    letter = DeadLetter.objects.get(aggregate_id=ann, state="failed")

    with pytest.raises(NotResolvable, match="run the newer code"):
        dead_letters.retry(letter.pk, by="staff:alice")

    assert descriptions() == []
    assert DeadLetter.objects.get(pk=letter.pk).attempts == letter.attempts
