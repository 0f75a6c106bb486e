"""Recovers the state of one stream from its newest snapshot."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from eventstore.errors import EventStoreError
from eventstore.recovery import recover
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Loads a stream from its newest sound snapshot and the events after it, proves the result against the fold "
        "from version 1, and mends the stream's rows in the inline read models."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--aggregate", type=UUID, required=True, metavar="ID", help="the stream")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be mended, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with bar("step") as progress:
                result = recover(options["aggregate"], dry_run=options["dry_run"], progress=progress)
        except EventStoreError as error:
            raise CommandError(f"{error}. Nothing was changed.") from error
        origin = f"the snapshot at version {result.snapshot_version}" if result.snapshot_version else "version 1"
        self.stdout.write(
            f"Loaded from {origin} and {result.events_read} events after it: version {result.version}."
            + ("" if result.snapshot_version else " There is no usable snapshot.")
        )
        if result.bad_snapshots:
            outcome = "would be removed" if options["dry_run"] else "were removed"
            self.stdout.write(f"{result.bad_snapshots} snapshots did not agree with the events: they {outcome}.")
        self.stdout.write(
            f"{result.repaired} rows {'are' if options['dry_run'] else 'were'} wrong."
            + (" Nothing was changed: this was a dry run." if options["dry_run"] else "")
        )
