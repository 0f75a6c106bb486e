"""What time does to approvals: those that nobody decided on expire, and what was interrupted is carried out."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from ops.approvals.carrying_out import carry_out
from ops.approvals.models import Approval
from ops.audit.record import record_act

INTERRUPTED_AFTER = timedelta(seconds=60)
"""Age of a decision after which what it led to counts as interrupted."""
MOST = 100
ACTOR = "system:approvals"


@dataclass(frozen=True, slots=True)
class Swept:
    expired: int
    resumed: int


def sweep() -> Swept:
    """Safe to run twice at once."""
    before = timezone.now() - INTERRUPTED_AFTER
    interrupted = Approval.objects.filter(state=Approval.State.APPROVED, outcome="", decided_at__lt=before)
    ids = list(interrupted.order_by("id").values_list("pk", flat=True)[:MOST])
    for approval_id in ids:
        carry_out(approval_id)
    return Swept(expired=_expire(), resumed=len(ids))


def _expire() -> int:
    with transaction.atomic():
        late = Approval.objects.select_for_update(skip_locked=True).filter(
            state=Approval.State.PENDING, expires_at__lt=timezone.now()
        )
        expired = list(late.order_by("id")[:MOST])
        for approval in expired:
            approval.state, approval.decided_at = Approval.State.EXPIRED, timezone.now()
            approval.save(update_fields=["state", "decided_at"])
            record_act(
                actor=ACTOR,
                action=f"expire_{approval.action}",
                subject=approval.subject,
                reason="nobody decided in time",
                done=True,
                detail={"approval": str(approval.pk), "asked_by": approval.asked_by},
            )
    return len(expired)
