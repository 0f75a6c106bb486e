"""Looks for what is stuck, until stopped."""

from typing import Any

from django.core.management.base import BaseCommand

from ops.detectors.monitor import Monitor
from ops.service import stop_on_signals


class Command(BaseCommand):
    help = (
        "Looks every DEADLOCK_CHECK_INTERVAL seconds for stuck operations, sessions that block others, long "
        "transactions, held connections and exhausted pools, and records them as incidents. With "
        "ENABLE_AUTO_RESOLUTION it ends what the bank's own overdue operations do. One leads, others stand by."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        Monitor().run(stop_on_signals())
