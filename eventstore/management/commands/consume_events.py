"""Applies events from Kafka to the read models until stopped."""

from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore import projections
from eventstore.errors import EventStoreError
from eventstore.kafka.consumer import Member
from eventstore.kafka.workers import run_workers, stop_with_parent
from eventstore.projections.runner import Runner, begin_later
from ops.process import collect_rarely
from ops.service import stop_on_signals

MOST_WORKERS = 64


class Command(BaseCommand):
    help = "Applies events from Kafka to the read models. SIGTERM or Ctrl-C ends it after the batches in hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workers", type=int, default=1, help="processes that share the shards; default 1")
        parser.add_argument("--worker-of", type=int, default=0, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["workers"] <= MOST_WORKERS:
            raise CommandError(f"--workers must be from 1 to {MOST_WORKERS}")
        stop = stop_on_signals()
        chosen = projections.registered()
        if options["worker_of"]:
            stop_with_parent(options["worker_of"], stop)
        else:
            try:
                # Makes their checkpoints, and anew what older code has filled.
                runners = [Runner(projection, stop=stop) for projection in chosen]
            except EventStoreError as error:
                raise CommandError(str(error)) from error
            begin_later(runners, stop)
        if options["workers"] > 1:
            run_workers(options["workers"], stop)
        else:
            collect_rarely()
            Member(chosen, stop).run()
