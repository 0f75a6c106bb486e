"""`manage.py run_monitor`: what begins and ends is on record, and what may be ended is, in two steps, and nothing
else."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from ops import board
from ops.board import facts
from ops.conf import get_settings
from ops.detectors import contention, incidents
from ops.detectors.ending import NotOurs, end, session_of
from ops.detectors.findings import finding
from ops.detectors.monitor import DATABASE_KINDS, Monitor, last_run
from ops.models import AuditEntry, Incident, MonitorRun, Resolution
from ops.operations import operation
from tests.bank import Bank
from tests.configured import configured
from tests.ops.detectors.conftest import in_hand
from tests.processes import service, wait_until
from tests.threads import together

SLOW = "SELECT pg_sleep(20)"


@pytest.fixture
def resolving(bank: Bank) -> Iterator[Monitor]:
    """A monitor that may end what is overdue."""
    with configured(enable_auto_resolution="true"):
        yield Monitor()


def open_incidents(kind: str) -> list[Incident]:
    return list(Incident.objects.filter(kind=kind, ended_at=None))


def test_an_incident_begins_lasts_and_ends_with_what_it_is_about(bank: Bank) -> None:
    monitor = Monitor()
    with operation("command", "Late", timeout=0.0) as late:
        time.sleep(0.01)
        monitor.look()
        [begun] = open_incidents("stuck_operation")
        monitor.look()
        [lasting] = open_incidents("stuck_operation")
    monitor.look()

    ended = Incident.objects.get(pk=begun.pk)
    assert begun.subject == late.id
    assert begun.detail["operation"]["name"] == "Late"
    assert lasting.pk == begun.pk
    assert lasting.began_at == begun.began_at < lasting.last_seen_at
    assert ended.ended_at is not None
    assert Incident.objects.count() == 1


def test_many_deadlocks_are_an_incident_that_ends_when_they_are_past(bank: Bank) -> None:
    with configured(deadlock_window=5):
        board.count("deadlocks", 6)
        monitor = Monitor()
        monitor.look()
        [incident] = open_incidents("deadlocks")
        assert incident.detail["measured"] >= 6
        assert incident.detail["threshold"] == 5
        assert "deadlocks within 5 s" in incident.reason
        wait_until(lambda: not monitor.look())
    assert not open_incidents("deadlocks")


def test_what_is_done_about_an_incident_is_not_said_of_one_that_had_ended(bank: Bank) -> None:
    found = finding("stuck_operation", "op", measured=2, threshold=1, reason="Past its deadline.")
    for findings in ([found], [], [found]):
        incidents.record(findings, {"stuck_operation"}, timezone.now())

    incidents.note_resolution("stuck_operation", "op", "cancel: done")

    assert list(Incident.objects.order_by("pk").values_list("resolution", flat=True)) == ["", "cancel: done"]


def test_as_many_deadlocks_as_may_be_are_no_incident(bank: Bank) -> None:
    with configured(deadlock_window=5):
        wait_until(lambda: contention.deadlocks()["deadlock_count"] == 0)  # those of an earlier test
        board.count("deadlocks", contention.TOO_MANY_DEADLOCKS)
        Monitor().look()
        assert not open_incidents("deadlocks")


class StopAfter:
    """The order to stop, given after some waits; what happens during each is told."""

    def __init__(self, *during: Callable[[], object]) -> None:
        self._during = list(during)

    def is_set(self) -> bool:
        return not self._during

    def wait(self, timeout: float | None = None) -> bool:
        if self._during:
            self._during.pop(0)()
        return self.is_set()


def lose_leadership() -> None:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as conn:
        conn.execute("SELECT pg_terminate_backend(%s)", (connection.connection.info.backend_pid,))


def nothing() -> None: ...


def deadlock() -> None:
    """Two transactions take two locks in opposite orders."""
    ever, both_hold_one = contention.deadlocks_ever(), threading.Barrier(2)

    def take(first: int, second: int) -> None:
        with suppress(DeadlockDetected), psycopg.connect(os.environ["DATABASE_URL"]) as conn:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (first,))
            both_hold_one.wait(10)
            conn.execute("SELECT pg_advisory_xact_lock(%s)", (second,))

    together([lambda: take(1, 2), lambda: take(2, 1)])
    wait_until(lambda: contention.deadlocks_ever() == ever + 1)


def test_deadlocks_are_counted_while_it_leads_and_those_before_are_not_of_now(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_facts", dict(facts._facts))  # what it registers ends with it

    def counted() -> int:
        return board.totals(["database_deadlocks"], 600)["database_deadlocks"]

    before = counted()
    while_it_leads, while_it_does_not = deadlock, deadlock

    Monitor().run(StopAfter(while_it_leads, lose_leadership, while_it_does_not, nothing))

    assert counted() == before + 1


def test_incidents_of_what_was_not_looked_at_do_not_end(bank: Bank) -> None:
    found = finding("stuck_operation", "x", measured=2, threshold=1, reason="Late.")
    incidents.record([found], {"stuck_operation"}, timezone.now())
    incidents.record([], DATABASE_KINDS, timezone.now())
    assert len(open_incidents("stuck_operation")) == 1


def test_the_record_is_bounded(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "KEPT", 5)
    monkeypatch.setattr(incidents, "MOST_AT_ONCE", 12)
    many = [finding("blocking", str(n), measured=2, threshold=1, reason="Blocked.") for n in range(30)]
    incidents.record(many, {"blocking"}, timezone.now())
    assert Incident.objects.count() == 12
    incidents.record(many[:1], {"blocking"}, timezone.now())
    assert incidents.prune() == 6
    assert list(Incident.objects.values_list("subject", flat=True)) == ["11", "10", "9", "8", "7", "0"]
    assert [incident.subject for incident in open_incidents("blocking")] == ["0"], "an open one is never pruned"


def test_without_auto_resolution_nothing_is_touched(bank: Bank) -> None:
    monitor = Monitor()
    with in_hand("SELECT pg_sleep(0.6)", timeout=0.1) as late:
        time.sleep(0.2)
        monitor.look()
        monitor.look()
        assert len(open_incidents("stuck_operation")) == 1
    assert late.error is None
    assert not Resolution.objects.exists()


def test_an_overdue_statement_is_cancelled_and_that_is_on_record(resolving: Monitor) -> None:
    with in_hand(SLOW, timeout=0.1) as late:
        time.sleep(0.2)
        resolving.look()
        wait_until(lambda: late.error is not None, 5)
    resolving.look()

    assert "canceling statement due to user request" in str(late.error)
    [done] = Resolution.objects.all()
    assert (done.action, done.outcome, done.actor, done.pid) == ("cancel", "done", "system:monitor", late.pid)
    assert "past its deadline" in done.reason
    [incident] = Incident.objects.filter(kind="stuck_operation")
    assert (incident.subject, incident.resolution) == (done.operation, "cancel: done")
    assert incident.ended_at is not None
    assert AuditEntry.objects.get(subject=f"backend:{late.pid}").detail["outcome"] == "done"


def test_what_does_not_end_by_cancelling_is_terminated_one_look_later(resolving: Monitor) -> None:
    """A transaction that sits idle has no statement to be cancelled."""
    with in_hand("SELECT 1", timeout=0.1, sits=True) as late:
        time.sleep(0.2)
        resolving.look()
        resolving.look()
        wait_until(lambda: not alive(late.pid), 5)
    assert late.error is not None
    assert [(done.action, done.outcome) for done in Resolution.objects.order_by("id")] == [
        ("cancel", "done"),
        ("terminate", "done"),
    ]


def alive(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,))
        return bool(cursor.fetchone()[0])


def test_what_it_did_not_start_is_never_touched(resolving: Monitor, stranger: psycopg.Connection) -> None:
    """Not a stranger's session, not one that only bears the bank's name, not one without a deadline."""
    stranger.execute("SET application_name = 'bankes:web'")
    with (
        configured(enable_auto_resolution="true", transaction_timeout=1),
        psycopg.connect(
            get_settings().database_url.get_secret_value(), application_name="bankes:web"
        ) as unregistered,
        in_hand("SELECT 1", timeout=None, sits=True) as by_hand,
    ):
        unregistered.execute("SELECT 1")
        stranger.execute("SELECT 1")
        time.sleep(1.3)
        with operation("command", "Late", timeout=0.0):  # it works with no backend
            resolving.look()
            resolving.look()
        assert unregistered.execute("SELECT 1").fetchone() == (1,)
        assert stranger.execute("SELECT 1").fetchone() == (1,)
        unregistered.rollback()
    assert by_hand.error is None
    assert not Resolution.objects.exists()


def test_part_of_what_may_take_as_long_as_it_takes_is_not_touched(resolving: Monitor) -> None:
    with (
        configured(enable_auto_resolution="true", transaction_timeout=1),
        transaction.atomic(),
        connection.cursor() as cursor,
        operation("import", "night-run"),
        operation("command", "Late", timeout=0.0),
    ):
        cursor.execute("SELECT pg_sleep(1.3)")
        together([resolving.look, resolving.look])
        cursor.execute("SELECT 1")
    assert not Resolution.objects.exists()


def test_what_is_over_is_not_remembered(resolving: Monitor) -> None:
    with in_hand(SLOW, timeout=0.1) as slow:
        time.sleep(0.3)
        resolving.look()
        wait_until(lambda: slow.error is not None, 5)
    assert Resolution.objects.count() == 1
    resolving.look()
    assert resolving._resolver._cancelled == set()


def test_a_stranger_is_ended_by_force_alone(bank: Bank, stranger: psycopg.Connection) -> None:
    stranger.execute("SET application_name = 'bankes:web'")  # the name alone makes nobody the bank's
    seen = session_of(stranger.info.backend_pid)
    assert seen is not None
    assert not seen.own

    with pytest.raises(NotOurs):
        end(seen, "terminate", actor="staff:alice", reason="a test")

    assert stranger.execute("SELECT 1").fetchone() == (1,)
    assert not Resolution.objects.exists()


def test_a_transaction_longer_than_transaction_timeout_is_ended_though_its_operation_is_in_time(
    resolving: Monitor,
) -> None:
    with (
        configured(enable_auto_resolution="true", transaction_timeout=1),
        in_hand(SLOW, timeout=60) as long,
    ):
        time.sleep(1.2)
        resolving.look()
        wait_until(lambda: long.error is not None, 5)
    [done] = Resolution.objects.all()
    assert "in a transaction of" in done.reason


def test_a_job_s_transaction_may_last_as_long_as_the_job(resolving: Monitor) -> None:
    with (
        configured(enable_auto_resolution="true", transaction_timeout=1),
        in_hand(SLOW, timeout=2.5, kind="job") as proof,
    ):
        time.sleep(1.2)
        resolving.look()
        resolving.look()
        assert not open_incidents("long_transaction")
        assert not Resolution.objects.exists()
        time.sleep(1.5)
        resolving.look()
        wait_until(lambda: proof.error is not None, 5)
    [done] = Resolution.objects.all()
    assert "job Slow is" in done.reason
    assert "past its deadline" in done.reason


def test_resolutions_cannot_be_altered_nor_removed(bank: Bank) -> None:
    Resolution.objects.create(action="cancel", outcome="done", actor="x", reason="y")
    for attempt in (lambda: Resolution.objects.update(reason="z"), lambda: Resolution.objects.all().delete()):
        with pytest.raises(ProgrammingError, match="permission denied"):
            attempt()
    assert Resolution.objects.get().reason == "y"


def test_one_leads_the_other_takes_over_when_it_is_killed_and_sigterm_ends_it(bank: Bank) -> None:
    def leader() -> str:
        run = last_run()
        return str(run["leader"]) if run else ""

    with service("run_monitor", deadlock_check_interval=1) as first:
        wait_until(lambda: leader().endswith(f":{first.pid}"))
        with service("run_monitor", deadlock_check_interval=1) as second:
            with operation("command", "Late", timeout=0.0):
                wait_until(lambda: len(open_incidents("stuck_operation")) == 1)
            assert leader().endswith(f":{first.pid}")
            first.send_signal(signal.SIGKILL)
            wait_until(lambda: leader().endswith(f":{second.pid}"))
            wait_until(lambda: not open_incidents("stuck_operation"))
            second.send_signal(signal.SIGTERM)
            assert second.wait(5) == 0


def test_a_monitor_that_is_dead_shows_by_the_age_of_its_last_look(bank: Bank) -> None:
    assert last_run() is None
    Monitor().look()
    MonitorRun.objects.update(at=timezone.now() - timedelta(minutes=5))
    facts.tell()
    run = last_run()
    assert run is not None
    assert run["age"] > 299
