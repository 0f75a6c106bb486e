"""Winds a read model back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from eventstore import projections
from eventstore.errors import EventStoreError
from eventstore.projections.replay import seek
from ops.management.working import WorkingCommand


class Command(WorkingCommand):
    help = (
        "Winds a read model back to a position of the feed: its rows beyond it are removed, and the projector makes "
        "them again. It cannot be moved forwards, since events would be skipped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="which read model, such as transactions")
        parser.add_argument("--position", type=int, required=True, help="the last position that stays applied")
        parser.add_argument("--dry-run", action="store_true", help="count the rows, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            read_model = projections.get(options["name"])
            if not isinstance(read_model, projections.Projection):
                raise CommandError(f"{read_model.name} is written with the events: use rebuild_projection.")
            removed = seek(read_model, options["position"], dry_run=options["dry_run"])
        except (LookupError, EventStoreError) as error:
            raise CommandError(f"Nothing was changed: {error}.") from error
        if options["dry_run"]:
            self.stdout.write(f"{removed} rows would be removed and made again. Nothing was changed: a dry run.")
        else:
            self.stdout.write(
                f"{removed} rows removed; the projector makes them again from {options['position']}, and tries again "
                "what was left out there as dead letters, also what was discarded."
            )
