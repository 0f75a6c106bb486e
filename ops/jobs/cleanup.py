"""The cleanup as a job, and as an action that takes two persons."""

from collections.abc import Sequence
from typing import Any

from ops.access.permissions import RUN_CLEANUP
from ops.approvals.jobs import ApprovedJob
from ops.approvals.registry import Command
from ops.conf import get_settings
from ops.debug.cleanup import clean_up
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, Order

RETENTION = (
    "idempotency_retention_hours",
    "snapshots_kept",
    "webhook_retention_days",
    "job_retention_days",
    "import_retention_days",
)


def _run(order: Order, progress: Progress) -> Sequence[str]:
    return clean_up(dry_run=False, step=progress.step).in_words()


CLEANUP = JobAction(
    name="cleanup",
    title="Clean up",
    permission=RUN_CLEANUP,
    run=_run,
    if_interrupted="What it had removed stays removed. Ask for another cleanup: it removes the rest.",
)


class ApprovedCleanup(ApprovedJob):
    """What is past its retention by the rules of today: an approval does not count for other ones."""

    name = "cleanup"
    title = "Clean up"
    permission = RUN_CLEANUP

    def preview(self, command: Command) -> Sequence[str]:
        found = clean_up(dry_run=True)
        return found.in_words() if any(found.removed.values()) or found.unfinished else []

    def versions(self, command: Command) -> dict[str, Any]:
        settings = get_settings()
        return {name: getattr(settings, name) for name in RETENTION}
