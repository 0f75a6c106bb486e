"""Removes what may go."""

import getpass
from argparse import ArgumentParser
from typing import Any

from ops.audit.record import record_act
from ops.debug.cleanup import clean_up
from ops.management.working import WorkingCommand


class Command(WorkingCommand):
    help = (
        "Removes idempotency records, webhook deliveries and sessions past their retention, superseded snapshots, "
        "the oldest ended incidents, and rows of read models that no event accounts for. Events are never removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="tell what would be removed, and remove nothing")
        parser.add_argument(
            "--reason", default="asked for by manage.py cleanup", help="why: it is kept, with who did it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        done = clean_up(dry_run=dry_run)
        self.stdout.write("Would be removed:" if dry_run else "Removed:")
        for line in done.in_words():
            self.stdout.write(f"  {line}")
        if dry_run:
            self.stdout.write("Nothing was removed: this was a dry run.")
            return
        record_act(
            actor=f"command:{getpass.getuser()}",
            action="cleanup",
            subject="installation",
            reason=options["reason"],
            done=True,
            detail=done.removed,
        )
