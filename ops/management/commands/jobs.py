"""Jobs from the command line."""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ops.jobs import asking
from ops.jobs.models import Job
from ops.jobs.registry import UnknownAction, all_actions, title_of

MAX_LISTED = 50


class Command(BaseCommand):
    help = (
        "Shows what workers do and have done, has one do something, and stops it. `jobs actions` lists what there is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help=f"the newest {MAX_LISTED}")
        verbs.add_parser("actions", help="what can be started")
        verbs.add_parser("show", help="one, with its log and report").add_argument("id", type=int)
        verbs.add_parser("cancel", help="has one stop at its next safe point").add_argument("id", type=int)
        start = verbs.add_parser("start", help="has a worker do something; no second person is asked")
        start.add_argument("action")
        start.add_argument("--input", default="{}", help='JSON, such as {"name": "journal"}')
        start.add_argument("--subject", default="installation", help="what it is about, for the audit")
        start.add_argument("--reason", required=True, help="why: it is kept, with who did it")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for job in Job.objects.all()[:MAX_LISTED]:
            far = f" {job.percent} %" if job.percent is not None and not job.is_ended else ""
            self.stdout.write(
                f"{job.pk:>8} {job.state:<10}{far} {title_of(job.action)}, {job.subject}, {job.asked_by}"
            )

    def _actions(self, options: dict[str, Any]) -> None:
        for action in all_actions():
            self.stdout.write(f"{action.name:<22} {action.title}")

    def _show(self, options: dict[str, Any]) -> None:
        job = self._found(options["id"])
        self.stdout.write(f"{title_of(job.action)}, {job.subject}: {job.get_state_display()}. {job.error}".rstrip())
        for line in job.lines.all():
            self.stdout.write(f"  {line.at:%Y-%m-%d %H:%M:%S} {line.text}")
        for told in job.report:
            self.stdout.write(told)

    def _cancel(self, options: dict[str, Any]) -> None:
        told = asking.cancel(self._found(options["id"]).pk, by=_actor())
        if not told:
            raise CommandError("The job had ended before: nothing was cancelled.")
        self.stdout.write(told)

    def _start(self, options: dict[str, Any]) -> None:
        try:
            given = json.loads(options["input"])
        except json.JSONDecodeError as error:
            raise CommandError(f"Nothing was started: --input is no JSON ({error}).") from error
        if not isinstance(given, dict):
            raise CommandError('Nothing was started: --input must be an object, such as {"name": "journal"}.')
        try:
            job = asking.make(
                options["action"],
                subject=options["subject"],
                input=given,
                reason=options["reason"],
                actor=_actor(),
            )
        except UnknownAction as error:
            raise CommandError(f"Nothing was started: {error}") from error
        self.stdout.write(f"Job {job.pk} waits for a worker." if asking.send(job) else asking.NOT_SENT)

    def _found(self, job_id: int) -> Job:
        job = Job.objects.filter(pk=job_id).first()
        if job is None:
            raise CommandError(f"There is no job {job_id}.")
        return job


def _actor() -> str:
    return f"command:{getpass.getuser()}"
