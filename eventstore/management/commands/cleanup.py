"""Removes what may go."""

from typing import Any

from eventstore.cleanup import cleanup
from ops.management.working import WorkingCommand


class Command(WorkingCommand):
    help = (
        "Removes idempotency records and webhook deliveries past their retention, and superseded snapshots. "
        "Events are never removed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        report = cleanup()
        self.stdout.write(
            f"Removed {report.idempotency_records} idempotency records, {report.snapshots} snapshots and "
            f"{report.webhook_deliveries} webhook deliveries."
        )
