"""Makes a read model anew from the events."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore import projections
from eventstore.errors import EventStoreError
from ops.progress import bar


class Command(BaseCommand):
    help = "Makes a read model anew from the events. Readers see the old rows until the new ones are complete."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="which read model, such as transactions")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            projection = projections.get(options["name"])
            with bar("position") as progress:
                report = projection.rebuild(progress)
        except (LookupError, EventStoreError) as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        repaired = "" if report.repaired is None else f", {report.repaired} of them were wrong before"
        self.stdout.write(f"{projection.name}: {report.events} events applied, {report.rows} rows{repaired}.")
