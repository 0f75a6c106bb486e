"""A job is carried out once, tells how far it is, stops when it is asked to, and ends with a report that stays."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import F

from ops.jobs import asking, pulse, running, sweeping
from ops.jobs.models import Job, JobLine
from ops.jobs.progress import Progress
from ops.jobs.registry import JobFailed, Order, UnknownAction
from ops.models import AuditEntry
from ops.operations import active
from tests.configured import configured
from tests.ops.jobs.conftest import ADVICE, Gate, make
from tests.processes import wait_until
from tests.threads import together

Does = Callable[[Any], None]


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def in_a_thread(job: Job) -> threading.Thread:
    def work() -> None:
        try:
            running.run(job.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_job_waits_runs_and_leaves_its_report_and_an_entry_in_the_audit(action: Does) -> None:
    seen: list[Order] = []

    def work(order: Order, progress: Progress) -> list[str]:
        seen.append(order)
        return ["3 rows were mended"]

    action(work)
    job = make(input={"rows": 3}, approved_by="staff:supervisor")
    assert (job.state, job.report) == ("queued", [])

    assert running.run(job.pk)

    ended = now(job)
    assert (ended.state, ended.report, ended.error) == ("done", ["3 rows were mended"], "")
    assert ended.started_at is not None
    assert ended.ended_at >= ended.started_at
    assert seen == [Order({"rows": 3}, "staff:operator", "a test", "staff:supervisor")]
    entry = AuditEntry.objects.get(action="try_out")
    assert (entry.actor, entry.outcome, entry.reason) == ("staff:operator", "done", "a test")
    assert entry.detail["approved_by"] == "staff:supervisor"
    assert entry.detail["report"] == ["3 rows were mended"]


def test_of_many_workers_told_of_one_job_one_does_it(action: Does) -> None:
    runs: list[int] = []
    action(lambda order, progress: [str(runs.append(1))])
    job = make()

    claimed = together([lambda: running.run(job.pk)] * 6)

    assert sorted(claimed) == [False] * 5 + [True]
    assert len(runs) == 1
    assert running.run(job.pk) is False, "a message that comes late"
    assert len(runs) == 1


def test_while_it_runs_its_step_progress_log_and_operation_are_seen(action: Does, monkeypatch: Any) -> None:
    monkeypatch.setattr(pulse, "EVERY", 0.05)
    gate = Gate()

    def inside_a_transaction(order: Order, progress: Progress) -> Any:
        with transaction.atomic():  # what others see does not wait for its end
            return gate.work(order, progress)

    action(inside_a_transaction)
    job = make()
    thread = in_a_thread(job)
    wait_until(lambda: now(job).done == 3)

    during = now(job)
    assert (during.state, during.step, during.total, during.percent) == ("running", "Waiting", 10, 30)
    assert [line.text for line in JobLine.objects.filter(job=job)] == ["at the gate"]
    [operation] = [found for found in active() if found["name"] == "try_out"]
    assert (operation["actor"], operation["resources"][0]) == ("staff:operator", f"job {job.pk}")
    beat = during.heartbeat_at
    wait_until(lambda: now(job).heartbeat_at > beat)

    gate.go_on.set()
    thread.join(timeout=20)
    assert (now(job).state, gate.runs) == ("done", 1)


def test_a_running_job_stops_at_its_next_safe_point_when_it_is_asked_to(action: Does, monkeypatch: Any) -> None:
    monkeypatch.setattr(pulse, "EVERY", 0.05)
    gate = Gate()
    action(gate.work)
    job = make()
    thread = in_a_thread(job)
    assert gate.reached.wait(10)

    assert "next safe point" in asking.cancel(job.pk, by="staff:supervisor")
    thread.join(timeout=20)

    ended = now(job)
    assert (ended.state, ended.report) == ("cancelled", [])
    assert "staff:supervisor asked for it" in ended.error
    assert AuditEntry.objects.get(action="try_out").outcome == "refused"
    assert asking.cancel(job.pk, by="staff:supervisor") == "", "it had ended before"


def test_a_job_that_waits_is_cancelled_at_once_and_never_begins(action: Does) -> None:
    gate = Gate()
    action(gate.work)
    job = make()
    assert "had not begun" in asking.cancel(job.pk, by="staff:operator")
    assert running.run(job.pk) is False
    assert (now(job).state, gate.runs) == ("cancelled", 0)


def test_what_fails_is_told_with_what_to_do_next(action: Does) -> None:
    def broken(order: Order, progress: Progress) -> list[str]:
        raise RuntimeError("the disk is full")

    action(broken)
    job = make()
    assert running.run(job.pk)
    assert (now(job).state, now(job).error) == ("failed", f"RuntimeError: the disk is full. {ADVICE}")

    def refused(order: Order, progress: Progress) -> list[str]:
        raise JobFailed("The books do not agree.", ["1 difference"])

    action(refused)
    job = make()
    running.run(job.pk)
    assert (now(job).state, now(job).error, now(job).report) == (
        "failed",
        "The books do not agree.",
        ["1 difference"],
    )


def test_a_job_that_takes_too_long_is_stopped(action: Does) -> None:
    gate = Gate()
    action(gate.work)
    job = make()
    with configured(job_time_limit=1):
        running.run(job.pk)
    assert now(job).state == "failed"
    assert "JOB_TIME_LIMIT (1 s)" in now(job).error
    assert ADVICE in now(job).error


def test_log_and_report_are_bounded(action: Does, monkeypatch: Any) -> None:
    monkeypatch.setattr(pulse, "MOST_LINES", 50)

    def talkative(order: Order, progress: Progress) -> list[str]:
        for number in range(5000):
            progress.log(f"line {number} " + "x" * 1000)
        return [f"row {number}" for number in range(5000)]

    action(talkative)
    job = make()
    running.run(job.pk)
    lines = list(JobLine.objects.filter(job=job))
    assert len(lines) == 50
    assert "what follows is not kept" in lines[-1].text
    assert len(now(job).report) == running.MOST_REPORT_LINES + 1
    assert "further lines are left out" in now(job).report[-1]


def test_an_action_that_is_not_known_cannot_be_asked_for_and_fails_where_it_is_found(action: Does) -> None:
    with pytest.raises(UnknownAction, match="no job runs 'nonsense'"):
        asking.make("nonsense", subject="x", input={}, reason="x", actor="x")
    job = make()
    Job.objects.filter(pk=job.pk).update(action="of_an_older_version")
    running.run(job.pk)
    assert now(job).state == "failed"
    assert "no job runs 'of_an_older_version'" in now(job).error


def test_one_key_leads_to_one_job(action: Does) -> None:
    first = together([lambda: make(key="approval:1").pk] * 4)
    assert len(set(first)) == 1
    assert Job.objects.count() == 1


KILLED = """
import sys, django
django.setup()
from ops.jobs import running
from ops.jobs.registry import JobAction, register_action

def work(order, progress):
    progress.step("Half of it")
    progress.log("the first half is done")
    import time
    time.sleep(1.5)
    print("ready", flush=True)
    time.sleep(60)

register_action(JobAction("try_out", "Try out", "ops.run_cleanup", work, "Start it anew."))
running.run(int(sys.argv[1]))
"""


def test_a_job_whose_worker_is_killed_is_marked_failed_and_is_not_run_again(action: Does, monkeypatch: Any) -> None:
    gate = Gate()
    action(gate.work)
    job = make()
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(job.pk)], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline() == "ready\n"
        monkeypatch.setattr(sweeping, "DEAD_AFTER", 0.0)
        assert sweeping.sweep().buried == 0, "it lives: its lock is held, however long ago it beat"
        assert now(job).state == "running"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=10)
        worker.stdout.close()
    assert running.run(job.pk) is False, "the message comes again, as Celery sends it after the loss of a worker"

    wait_until(lambda: sweeping.sweep().buried == 1)

    ended = now(job)
    assert (ended.state, gate.runs) == ("failed", 0)
    assert f"Its worker ({ended.worker}) ended in the midst of it at “Half of it”" in ended.error
    assert ended.error.endswith(ADVICE)
    assert [line.text for line in ended.lines.all()] == ["the first half is done"]
    assert AuditEntry.objects.get(action="try_out").outcome == "refused"
    assert sweeping.sweep().buried == 0


def test_a_worker_that_was_given_up_stops_and_does_not_change_how_the_job_ended(
    action: Does, monkeypatch: Any
) -> None:
    """As after a long outage of the database between worker and server."""
    monkeypatch.setattr(pulse, "EVERY", 0.05)
    gate = Gate()
    action(gate.work)
    job = make()
    thread = in_a_thread(job)
    assert gate.reached.wait(10)
    Job.objects.filter(pk=job.pk).update(state="failed", ended_at=F("started_at"), error="given up")
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert (now(job).state, now(job).error) == ("failed", "given up")


def test_a_heartbeat_that_is_young_protects_a_job_whose_lock_is_free(action: Does) -> None:
    job = make()
    Job.objects.filter(pk=job.pk).update(state="running", started_at=F("created_at"), heartbeat_at=F("created_at"))
    assert sweeping.sweep().buried == 0
    Job.objects.filter(pk=job.pk).update(heartbeat_at=F("created_at") - timedelta(seconds=16))
    assert sweeping.sweep().buried == 1
