"""The Celery application: worker and beat find their tasks in each app's `tasks` module."""

import os
from contextlib import ExitStack
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import task_postrun, task_prerun, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankes.settings")

app = Celery("bankes")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# What no worker has begun before the next of its kind is due is not begun any more.
app.conf.beat_schedule = {
    "cleanup": {"task": "eventstore.cleanup", "schedule": crontab(minute="17"), "options": {"expires": 3300.0}},
    "cleanup-accounts": {
        "task": "accounts.cleanup",
        "schedule": crontab(minute="47"),
        "options": {"expires": 3300.0},
    },
    "expire-holds": {"task": "accounts.expire_holds", "schedule": 60.0, "options": {"expires": 55.0}},
    "book-interest": {
        "task": "accounts.book_interest",
        "schedule": crontab(hour="1", minute="30"),
        "options": {"expires": 82_800.0},
    },
    "sweep": {"task": "ops.sweep", "schedule": 30.0, "options": {"expires": 25.0}},
    "verify-ledger": {
        "task": "accounts.verify_ledger",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 82_800.0},
    },
}
LONG = ("ops.run_job", "eventstore.cleanup", "accounts.verify_ledger", "accounts.book_interest")
app.conf.task_routes = {name: {"queue": "jobs"} for name in LONG}
"""These may take hours. They have workers of their own, so that what is due every minute is done every minute."""

_tasks: dict[str, ExitStack] = {}


@task_prerun.connect
def register_task(task_id: str, task: Any, **_: Any) -> None:
    """A task is a registered operation from here to `end_task`, unless it registers one itself."""
    from ops.operations import operation

    if getattr(task, "registers_itself", False):
        return

    stack = ExitStack()
    stack.enter_context(
        operation("job", task.name, timeout=task.soft_time_limit, resources=(task_id,), actor="system:celery")
    )
    _tasks[task_id] = stack


@task_postrun.connect
def end_task(task_id: str, **_: Any) -> None:
    if stack := _tasks.pop(task_id, None):
        stack.close()


@worker_init.connect
def work_without_a_pool(**_: Any) -> None:
    """Celery closes a worker's whole pool after each task, so a pool would be made anew for every one of them."""
    from django.conf import settings

    settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
