"""Carries the feed to Kafka until stopped."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore.errors import EventStoreError
from eventstore.kafka.relay import Relay
from ops.process import collect_rarely
from ops.service import stop_on_signals


class Command(BaseCommand):
    help = "Carries the event feed to Kafka. One relay leads, others wait to take over. SIGTERM or Ctrl-C ends it."

    def handle(self, *args: Any, **options: Any) -> None:
        collect_rarely()
        try:
            Relay().run(stop_on_signals())
        except EventStoreError as error:
            raise CommandError(str(error)) from error
