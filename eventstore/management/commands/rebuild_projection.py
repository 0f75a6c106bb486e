"""Makes a read model anew from the events."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from eventstore import projections
from eventstore.errors import EventStoreError
from eventstore.projections.base import Inline, Projection, Report, unfinished
from eventstore.projections.rebuild import rebuild, undo
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Fills a read model anew beside the one in use, compares the two and swaps them. Reading goes on all the "
        "while. --undo puts the replaced one back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="which read model, such as transactions")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--dry-run", action="store_true", help="compare, and swap nothing")
        how.add_argument("--undo", action="store_true", help="go back to what the last rebuild replaced")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            read_model = projections.get(options["name"])
            if options["undo"]:
                self._undo(read_model)
                return
            report = self._rebuild(read_model, options["dry_run"])
        except (LookupError, EventStoreError) as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        wrong = f"{report.repaired} of them {'were wrong before' if report.swapped else 'are wrong now'}"
        outcome = "" if report.swapped else " Nothing was changed: this was a dry run."
        self.stdout.write(f"{read_model.name}: {report.events} events applied, {report.rows} rows, {wrong}.{outcome}")
        if report.left_out:
            self.stdout.write(f"Before this, {report.left_out}")

    def _rebuild(self, read_model: Projection[Any] | Inline, dry_run: bool) -> Report:
        try:
            with bar("position") as progress:
                return rebuild(read_model, progress, dry_run=dry_run)
        except EventStoreError as error:
            raise CommandError(f"{unfinished(read_model, dry_run=dry_run)}: {error}") from error

    def _undo(self, read_model: Any) -> None:
        if not isinstance(read_model, Projection):
            raise CommandError(f"{read_model.name} is mended in place: there is nothing to go back to.")
        undo(read_model)
        self.stdout.write(f"{read_model.name}: the tables that the last rebuild replaced are in use again.")
