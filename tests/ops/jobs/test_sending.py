"""Messages to workers: a broker that is away is told, and loses nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery.schedules import crontab
from django.db.models import F

from bankes.celery import LONG, app
from ops.jobs import asking, sweeping
from ops.jobs.models import Job
from tests.ops.admin.dialog import confirm, page_text, preview
from tests.ops.jobs.conftest import make
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

Does = Callable[[Any], None]
VERIFY = "/admin/accounts/ledgerproof/verify/"


def period(schedule: Any) -> float:
    """Seconds from one time to the next."""
    if not isinstance(schedule, crontab):
        return float(schedule)
    assert len(schedule.minute) == 1
    return 3600.0 if len(schedule.hour) == 24 else 86_400.0 / len(schedule.hour)


def test_what_is_done_by_the_clock_is_a_task_and_never_piles_up() -> None:
    app.loader.import_default_modules()
    entries = app.conf.beat_schedule
    assert {entry["task"] for entry in entries.values()} <= app.tasks.keys()
    for name, entry in entries.items():
        assert 0 < entry.get("options", {}).get("expires", 0) < period(entry["schedule"]), name


@contextmanager
def broker(url: str) -> Iterator[None]:
    """Another broker for the length of the block."""
    before = app.conf.broker_url
    app.conf.update(broker_url=url, broker_read_url=url, broker_write_url=url)
    app.amqp._producer_pool = None
    app._pool = None
    try:
        yield
    finally:
        app.conf.update(broker_url=before, broker_read_url=before, broker_write_url=before)
        app.amqp._producer_pool = None
        app._pool = None


def test_where_the_broker_is_away_the_person_is_told_and_the_job_waits(db: None) -> None:
    operator = signed_in(make_staff("operator"))
    with broker("redis://127.0.0.1:1/0"):
        answer = confirm(operator, VERIFY, preview(operator, VERIFY)[1])
        page = page_text(operator.get(answer.headers["Location"]))
        assert "Celery's broker (Redis) does not answer" in page
        job = Job.objects.get()
        assert (job.state, job.sent_at) == ("queued", None)
        Job.objects.update(created_at=F("created_at") - timedelta(seconds=60))
        assert sweeping.sweep().sent == 0
        assert "No worker has taken it yet" in page_text(operator.get(answer.headers["Location"]))

    assert sweeping.sweep().sent == 1
    assert Job.objects.get().sent_at is not None


def test_a_worker_is_told_again_of_what_still_waits_and_of_nothing_else(action: Does) -> None:
    waiting, told, ended = make(), make(), make()
    assert asking.send(told)
    Job.objects.filter(pk=ended.pk).update(state="cancelled", ended_at=F("created_at"))
    Job.objects.filter(pk=waiting.pk).update(created_at=F("created_at") - timedelta(seconds=5))
    assert sweeping.sweep().sent == 1
    assert sweeping.sweep().sent == 0, "a moment later"
    Job.objects.filter(pk=told.pk).update(sent_at=F("sent_at") - timedelta(seconds=61))
    assert sweeping.sweep().sent == 1


def _route(routes: dict[str, dict[str, str]]) -> None:
    app.conf.task_routes = routes
    app.amqp.flush_routes()
    app.amqp.router = app.amqp.Router()


@pytest.fixture
def worker(db: None) -> Iterator[None]:
    """A Celery worker as it is deployed, with a queue of this test alone."""
    queue = f"test-{os.getpid()}"
    before = app.conf.task_routes
    _route(before | {asking.TASK: {"queue": queue}})
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-q", "-A", "bankes", "worker", "-Q", queue, "--concurrency", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        _route(before)


def test_work_that_may_take_hours_has_a_queue_of_its_own() -> None:
    app.loader.import_default_modules()
    assert set(LONG) <= set(app.tasks)
    assert {queue_of(name) for name in LONG} == {"jobs"}
    assert {queue_of(name) for name in ("ops.sweep", "accounts.expire_holds")} == {"celery"}


def queue_of(task: str) -> str:
    return str(app.amqp.router.route({}, task)["queue"].name)


def test_a_celery_worker_carries_it_out(worker: None) -> None:
    operator = signed_in(make_staff("operator"))
    answer = confirm(operator, VERIFY, preview(operator, VERIFY)[1])
    job = Job.objects.get()

    wait_until(lambda: Job.objects.get().is_ended, seconds=30)

    ended = Job.objects.get()
    assert (ended.state, ended.pk) == ("done", job.pk), ended.error
    assert "The books agree" in ended.report[0]
    assert "The books agree" in page_text(operator.get(answer.headers["Location"]))
