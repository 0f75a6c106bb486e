"""Each component's health follows what really is, and recovers by itself."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import LedgerProof
from eventstore import health, projections
from eventstore.projections.runner import catch_up
from ops.board import facts, writing
from ops.detectors.models import MonitorRun
from ops.health import database
from ops.models import Job, SweepRun
from ops.operations import active, operation
from ops.operations.limit import TRUST
from ops.tasks import sweep
from ops.timeouts import record
from tests.bank import Bank
from tests.configured import configured
from tests.ops.operators import Operator
from tests.outages import halted, may_halt
from tests.pools import all_connections_taken
from tests.processes import service, wait_until


def test_a_lag_is_never_healthy_while_nobody_carries_the_read_models_on(operator: Operator, bank: Bank) -> None:
    assert operator.component("projections")["status"] == "healthy"
    ann = bank.open("10.00")

    never = operator.component("projections")
    catch_up(projections.registered())
    caught_up = operator.component("projections")
    bank.deposit(ann, "1.00")
    behind = operator.component("projections")
    kafka = operator.component("kafka")

    assert (never["status"], never["values"]["not_begun"]) == ("degraded", len(projections.registered()))
    assert (caught_up["status"], caught_up["values"]["lag_events"]) == ("healthy", 0)
    assert behind["status"] == "degraded"
    assert behind["values"]["unattended_lag"] == 1
    assert 0 < behind["values"]["lag_seconds"] < 30
    assert kafka["values"]["enabled"] is False
    assert (kafka["status"], kafka["reason"][:8]) == ("degraded", "disabled")
    catch_up(projections.registered())
    assert operator.component("kafka")["status"] == "healthy"


def test_the_lag_grows_by_itself_while_the_projector_is_dead(
    operator: Operator, bank: Bank, sweeper: psycopg.Connection
) -> None:
    catch_up(projections.registered())
    bank.open("10.00")
    catch_up(projections.registered())
    bank.open("10.00")
    sweeper.execute("UPDATE events SET timestamp = timestamp - interval '2 minutes'")

    told = operator.component("projections")

    assert told["status"] == "unhealthy"
    assert told["values"]["lag_seconds"] > 119
    assert "lag_seconds" in {crossed["value"] for crossed in told["thresholds"]}


def test_a_projector_that_hangs_carries_nothing_on(
    operator: Operator, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SIGN_OF_LIFE", 3.0)

    def followers() -> int:
        told: int = operator.component("projections")["values"]["followers_on_this_machine"]
        return told

    with service("run_projections") as projector:
        wait_until(lambda: followers() == 1, 60)
        if not may_halt(projector.pid):
            pytest.skip("may not halt it")
        with halted(projector.pid):
            wait_until(lambda: followers() == 0, 20)


def test_an_open_append_that_holds_the_feed_back_is_named(operator: Operator, bank: Bank) -> None:
    bank.open("1.00")
    with psycopg.connect(os.environ["DATABASE_URL"]) as stuck:  # the lock that hold_feed() takes for an append
        stuck.execute("SELECT pg_advisory_xact_lock_shared((15::bigint << 56) | 1)")
        held = operator.component("feed")["values"]

        assert held["held_by"] == [stuck.info.backend_pid]
        assert held["held_seconds"] >= 0
    assert operator.component("feed")["values"]["held_by"] == []


def test_sessions_of_other_roles_use_up_the_server_s_connections_too(operator: Operator) -> None:
    url, seen = os.environ["DATABASE_SUPERUSER_URL"], "SELECT count(*) FROM pg_stat_activity WHERE backend_type = %s"
    with psycopg.connect(url) as first, psycopg.connect(url):
        told = operator.component("database")["values"]
        [clients] = first.execute(seen, ["client backend"]).fetchone() or [0]

    assert told["connections"] == clients, (
        "neither those of others are left out nor PostgreSQL's own processes counted"
    )
    assert told["connection_utilization"] == round(clients / told["max_connections"], 4)


def test_a_server_full_of_connections_is_told_of_and_takes_no_process_out_of_service(operator: Operator) -> None:
    """Each has its own connections by then; a balancer that took all of them out would make it worse."""
    with ExitStack() as connections:
        most = operator.component("database")["values"]["max_connections"]
        for _ in range(most):
            if operator.component("database")["values"]["connection_utilization"] > 0.98:
                break
            connections.enter_context(psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]))
        full = operator.component("database")
        ready = operator.get("/health/ready")

    assert (full["status"], ready.status_code) == ("degraded", 200)
    assert "the server's connections run out" in full["reason"]


def test_pools_that_may_open_more_than_the_server_takes_are_told_of_before_they_do(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts.tell()
    fits = operator.component("database")
    monkeypatch.setattr("ops.health.database.pool_facts", lambda: [{"limit": 500}, {"limit": 700}])
    too_many = operator.component("database")

    assert fits["reason"] == "answers"
    assert 0 < fits["values"]["pools_may_open"] <= fits["values"]["max_connections"]
    most = too_many["values"]["max_connections"]
    assert f"may together open 1200 connections, and it takes {most}: lower" in too_many["reason"]
    assert too_many["status"] == "healthy"


def test_the_pool_tells_of_all_connections_in_use(operator: Operator) -> None:
    operator.get("/health/database")
    with all_connections_taken(patience=0.2):
        facts.tell()
        full = operator.component("pool")
    facts.tell()

    assert full["status"] == "unhealthy"
    assert full["values"]["utilization"] == 1.0
    assert full["thresholds"][0] == {
        "value": "utilization",
        "measured": 1.0,
        "threshold": 0.999,
        "status": "unhealthy",
    }
    assert operator.component("pool")["status"] == "healthy"


@pytest.fixture
def quickly_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes in a bank is long after a fifth of a second."""
    limits = [
        replace(limit, degraded=0.2, unhealthy=0.2 if limit.unhealthy else None)
        if limit.value.startswith("oldest_transaction")
        else limit
        for limit in database.LIMITS
    ]
    monkeypatch.setattr(database, "LIMITS", limits)


@pytest.mark.usefixtures("quickly_long")
def test_a_process_is_ready_although_a_transaction_is_old(operator: Operator) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as old:
        old.execute("SELECT 1")
        time.sleep(0.3)
        told, ready = operator.component("database"), operator.get("/health/ready")

    assert told["status"] == "degraded"
    assert "a transaction has been open for long" in told["reason"]
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert operator.component("database")["status"] == "healthy"


@pytest.mark.usefixtures("quickly_long")
def test_a_job_s_transaction_may_be_old(operator: Operator) -> None:
    with operation("job", "proof", timeout=60), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        time.sleep(0.3)
        told = operator.component("database")

    assert told["status"] == "healthy"
    assert told["values"]["oldest_transaction_seconds"] > 0.3
    assert told["values"]["oldest_transaction_beside_jobs_seconds"] < 0.2


def test_the_timeout_rate_is_timeouts_of_attempts(operator: Operator) -> None:
    before = operator.component("timeouts")["values"]["components"]["kafka"]
    for _ in range(90):
        record("kafka", "ok", 0.001)
    for _ in range(30):
        record("kafka", "timeout", 1.0)

    told = operator.component("timeouts")
    after = told["values"]["components"]["kafka"]

    assert (after["attempts"] - before["attempts"], after["timeouts"] - before["timeouts"]) == (120, 30)
    assert after["timeout_rate"] == pytest.approx(after["timeouts"] / after["attempts"], abs=1e-4)
    assert told["status"] == "degraded"
    assert told["reason"].startswith("calls to kafka time out (timeout_rate ")
    assert operator.get("/health").json()["components"]["timeouts"]["reason"] == told["reason"]


def test_without_an_attempt_there_is_no_timeout_rate(operator: Operator, tmp_path: Path) -> None:
    """On a board that nobody has written to yet."""
    with configured(board_dir=tmp_path):
        told = operator.component("timeouts")["values"]["components"]["kafka"]

    assert (told["attempts"], told["timeout_rate"]) == (0, None)


def test_a_session_that_waits_for_a_lock_is_told_with_its_blocker(operator: Operator, bank: Bank) -> None:
    ann = bank.open("1.00")
    url, lock = os.environ["DATABASE_URL"], "SELECT FROM accounts WHERE id = %s FOR UPDATE"
    with psycopg.connect(url) as first, psycopg.connect(url) as second, ThreadPoolExecutor(1) as pool:
        first.execute(lock, (ann,))
        waits = pool.submit(second.execute, lock, (ann,))
        [waiting] = wait_until(lambda: operator.component("deadlocks")["values"].get("blocked"))
        first.rollback()
        waits.result(10)

        assert (waiting["pid"], waiting["blocked_by"]) == (second.info.backend_pid, [first.info.backend_pid])
    wait_until(lambda: operator.component("deadlocks")["values"]["waiting_sessions"] == 0)


def test_a_process_that_nobody_sees_says_so_until_it_is_seen(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "board"
    folder.symlink_to("/proc")  # where nobody can make a file
    monkeypatch.setattr(writing, "_board", None)
    with configured(board_dir=folder), operation("job", "unseen"):
        told = operator.component("operations")
        folder.unlink()
        folder.mkdir()
        facts.tell()
        early = operator.component("operations")
        monkeypatch.setattr(writing, "TRY_AGAIN_AFTER", 0.0)
        facts.tell()
        seen = operator.component("operations")
        with operation("job", "seen"):
            names = [entry["name"] for entry in active()]

    assert (told["status"], told["values"]["board_error"]) == ("degraded", "No such file or directory")
    assert "nobody sees what this process does: BOARD_DIR: No such file or directory" in told["reason"]
    assert early["status"] == "degraded", "it is not tried every second"
    assert seen["status"] == "healthy"
    assert names == ["seen"]


@pytest.mark.parametrize("where", ["file/board", "file"])
def test_a_board_dir_that_is_none_stops_no_payment(
    operator: Operator, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(writing, "_board", None)
    with configured(board_dir=tmp_path / where):
        time.sleep(TRUST)
        ann = bank.open("1.00")
        assert operator.component("operations")["status"] == "degraded"
    assert bank.balance(ann) == 100


def test_with_as_many_operations_in_hand_as_it_takes_the_bank_is_unhealthy(operator: Operator) -> None:
    with configured(max_concurrent_operations=1), operation("job", "in the way"):
        told = operator.component("operations")
    assert told["status"] == "unhealthy"
    assert ("utilization", "unhealthy") in {(each["value"], each["status"]) for each in told["thresholds"]}


def test_a_stuck_operation_is_told_while_it_lasts(operator: Operator) -> None:
    with operation("job", "endless", timeout=0.01):
        time.sleep(0.05)
        stuck = operator.component("operations")

    assert stuck["status"] == "degraded"
    assert any("endless" in reason for reason in stuck["values"]["stuck_operations"])
    assert operator.component("operations")["values"]["stuck"] == 0


def test_dead_letters_degrade_until_they_are_dealt_with(operator: Operator, sweeper: psycopg.Connection) -> None:
    sweeper.execute("INSERT INTO dead_letters (state, projection, generation) VALUES ('failed', 'journal', 1)")
    waiting = operator.component("dead_letters")
    sweeper.execute("UPDATE dead_letters SET state = 'discarded', resolved_at = now()")

    assert (waiting["status"], waiting["values"]["failed"]) == ("degraded", 1)
    assert operator.component("dead_letters")["status"] == "healthy"


def test_the_ledger_is_as_healthy_as_its_last_proof(
    operator: Operator, bank: Bank, sweeper: psycopg.Connection
) -> None:
    bank.open("1.00")
    assert operator.component("ledger")["reason"] == "new, and not proved yet"
    catch_up(projections.registered())
    call_command("verify_ledger")
    assert operator.component("ledger")["reason"] == "the books agree"

    sweeper.execute("UPDATE ledger_proofs SET at = now() - interval '27 hours'")
    old = operator.component("ledger")
    LedgerProof.objects.create(position=1, events=1, streams=1, seconds=0.1, differences=2)
    wrong = operator.component("ledger")

    assert (old["status"], old["thresholds"][0]["value"]) == ("degraded", "unproved_seconds")
    assert (wrong["status"], wrong["values"]["differences"]) == ("unhealthy", 2)


def test_beat_and_worker_that_do_not_work_are_unhealthy(operator: Operator) -> None:
    never = operator.component("jobs")
    sweep()
    at_work = operator.component("jobs")
    SweepRun.objects.update(at=timezone.now() - timedelta(minutes=4))
    dead = operator.component("jobs")

    assert [told["status"] for told in (never, at_work, dead)] == ["degraded", "healthy", "unhealthy"]
    assert dead["values"]["silent_seconds"] > 239


def test_jobs_that_nobody_takes_are_unhealthy_and_those_behind_others_are_not(operator: Operator) -> None:
    sweep()
    waits = Job.objects.create(action="evict", subject="cache", reason="x", asked_by="staff:ann")
    Job.objects.update(created_at=timezone.now() - timedelta(minutes=3))
    unserved = operator.component("jobs")
    now = timezone.now()
    other = {"state": "running", "started_at": now, "heartbeat_at": now}
    runs = Job.objects.create(action="evict", subject="cache", reason="x", asked_by="staff:ann", **other)
    behind_another = operator.component("jobs")
    Job.objects.filter(pk=runs.pk).update(state="done", ended_at=timezone.now())
    its_turn = operator.component("jobs")

    assert [told["status"] for told in (unserved, behind_another, its_turn)] == ["unhealthy", "healthy", "healthy"]
    assert unserved["thresholds"][0]["value"] == "unserved_seconds"
    assert (its_turn["values"]["waiting"], its_turn["values"]["running"]) == (1, 0)
    assert Job.objects.get(pk=waits.pk).state == "queued"


def test_a_monitor_that_stopped_looking_is_unhealthy(operator: Operator) -> None:
    never = operator.component("monitor")
    MonitorRun.objects.create(holder="here:1", at=timezone.now(), seconds=0.1, findings=0)
    looking = operator.component("monitor")
    MonitorRun.objects.update(at=timezone.now() - timedelta(minutes=1))
    dead = operator.component("monitor")

    assert [told["status"] for told in (never, looking, dead)] == ["degraded", "healthy", "unhealthy"]
    assert dead["values"]["silent_seconds"] > 59
