"""Replays one stream into the read models."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from eventstore.errors import EventStoreError, StreamNotFound
from eventstore.projections.replay import replay
from ops.management.working import WorkingCommand
from ops.progress import bar


class Command(WorkingCommand):
    help = (
        "Makes anew what the read models hold of one stream, from a version on. Nothing is written to the books, "
        "relayed or sent again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--aggregate", type=UUID, required=True, metavar="ID", help="the stream")
        parser.add_argument("--from-version", type=int, default=1, metavar="N", help="its first event to replay")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be mended, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with bar("read model") as progress:
                results = replay(
                    options["aggregate"],
                    from_version=options["from_version"],
                    dry_run=options["dry_run"],
                    progress=progress,
                )
        except StreamNotFound as error:
            raise CommandError(
                f"There is no version {options['from_version']} of a stream {error.aggregate_id}. "
                "Nothing was changed."
            ) from error
        except EventStoreError as error:
            raise CommandError(
                f"{error}. Read models that come before it by name are done; begin anew: it can be repeated safely."
            ) from error
        verb = "are wrong" if options["dry_run"] else "were wrong"
        for result in results:
            self.stdout.write(
                f"{result.read_model:<16} {result.events:>8} events replayed, {result.repaired} rows {verb}"
            )
        if options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
