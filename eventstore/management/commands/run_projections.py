"""Follows the feed with all projections until stopped."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore import projections
from eventstore.errors import EventStoreError
from eventstore.projections.runner import catch_up, follow
from ops.process import collect_rarely
from ops.service import stop_on_signals


class Command(BaseCommand):
    help = "Carries the read models along the event feed. SIGTERM or Ctrl-C ends it after the batch in hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="catch up with the feed as it is now, then end")
        parser.add_argument("--only", action="append", metavar="NAME", help="just this projection (may be repeated)")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = projections.registered()
        if options["only"]:
            known = {projection.name: projection for projection in chosen}
            if unknown := set(options["only"]) - set(known):
                raise CommandError(f"no projection {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
            chosen = [known[name] for name in options["only"]]
        try:
            if options["once"]:
                taken = catch_up(chosen)
                self.stdout.write(f"{len(chosen)} projections caught up, {taken} events applied.")
                return
            collect_rarely()
            follow(chosen, stop_on_signals())
        except EventStoreError as error:
            raise CommandError(f"{error}. What was applied before stays.") from error
