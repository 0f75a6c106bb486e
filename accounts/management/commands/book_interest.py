"""Reckons the interest of months that are over, and books what is due."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.domain.errors import Refusal
from accounts.services import interest
from accounts.services.interest import Run
from eventstore.errors import EventStoreError
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Reckons the interest of each month that is over, once, and books all that is due: what is booked already is "
        "never booked again. Exits with 1 where something was refused; that is tried again at the next run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            self.stdout.write("\n".join(interest.planned()))
            return
        try:
            with bar("due") as progress:
                run = interest.book_interest(progress)
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        except EventStoreError as error:
            raise CommandError(
                f"{error}. What is left is booked when it is run again; nothing is booked twice."
            ) from None
        self._tell(run)

    def _tell(self, run: Run) -> None:
        self.stdout.write("\n".join(run.told()))
        if run.left:
            raise CommandError(
                f"{run.left} could not be booked, and will be tried again at the next run: the page Interest of the "
                "admin says why of each."
            )
