"""Carries the feed to Kafka until stopped."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eventstore.errors import EventStoreError
from eventstore.kafka.relay import Relay


class Command(BaseCommand):
    help = "Carries the event feed to Kafka. One relay leads, others wait to take over. SIGTERM or Ctrl-C ends it."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            Relay().run(stop)
        except EventStoreError as error:
            raise CommandError(str(error)) from error
