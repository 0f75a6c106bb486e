"""Sends webhooks to API clients until stopped."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ops.service import stop_on_signals
from ops.webhooks.worker import Sender


class Command(BaseCommand):
    help = (
        "Sends what waits for the webhooks of API clients. Several may run at once. SIGTERM or Ctrl-C ends it: "
        "requests under way get some seconds to finish, others are left to the next one that runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--threads", type=int, default=8, help="most requests at once (default 8)")
        parser.add_argument("--once", action="store_true", help="send what is due now, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["threads"] <= 200:
            raise CommandError("--threads must lie between 1 and 200.")
        sender = Sender(options["threads"])
        if options["once"]:
            self.stdout.write(f"{sender.run_until_idle()} tries made.")
            return
        sender.run(stop_on_signals())
