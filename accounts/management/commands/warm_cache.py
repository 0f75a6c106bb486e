"""Keeps the shared cache warm: the cache service."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.warming import WarmReport, serve, warm
from ops.conf import get_settings
from ops.progress import bar
from ops.service import stop_on_signals


class Command(BaseCommand):
    help = (
        "Brings the most used accounts to the shared cache, in batches of CACHE_WARMUP_BATCH_SIZE. With --loop every "
        "CACHE_WARMUP_INTERVAL seconds, following the event feed in between. SIGTERM or Ctrl-C ends it after the "
        "batch in hand."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on until stopped, and follow changes")
        parser.add_argument(
            "--limit",
            type=int,
            default=get_settings().cache_max_size,
            help="how many accounts (default CACHE_MAX_SIZE)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if not 1 <= limit <= 10_000_000:
            raise CommandError("--limit must lie between 1 and 10000000.")
        stop = stop_on_signals()
        if options["loop"]:
            with bar("account") as progress:
                serve(limit, stop, report=self._tell, progress=progress)
            self.stdout.write("Stopped.")
            return
        with bar("account") as progress:
            report = warm(limit, progress=progress, stop=stop)
        self._tell(report)
        if report.failed:
            raise CommandError(
                f"Redis did not take {report.failed} accounts: see that REDIS_URL answers, then repeat."
            )

    def _tell(self, report: WarmReport) -> None:
        self.stdout.write(
            f"{report.warmed} accounts warmed in {report.seconds:.2f} s ({report.most_used} most used, "
            f"{report.recently_changed} changed lately, {report.missing} unknown, {report.failed} failed)"
            f"{'; stopped before the end' if report.stopped else ''}."
        )
