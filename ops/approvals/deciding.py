"""Deciding on what somebody else asked for: on that very command, and on the versions that it was looked at on."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ops.approvals.carrying_out import carry_out
from ops.approvals.models import Approval
from ops.approvals.persons import Person
from ops.approvals.registry import sensitive

DECIDE = "ops.decide_approval"
STALE = "What it was looked at on has changed since it was asked for."
ANEW = "Nothing was done: let it be asked for anew."
REFUSE = "It cannot be approved: refuse it, or let somebody ask for it who may."


class NotDecided(Exception):
    """The decision does not count, and nothing was done; the message says why."""


def may_decide(approval: Approval, by: Person) -> str:
    """Why this person may not decide on it; "" for one who may."""
    if approval.state != Approval.State.PENDING:
        decided = f" by {approval.decided_by}" if approval.decided_by else ""
        return f"Nothing was done: it is {approval.get_state_display().lower()}{decided} already."
    if approval.expires_at <= timezone.now():
        return "It was not approved in time. Let it be asked for anew."
    if approval.asked_by == by.actor or (by.user is not None and approval.asker_id == by.user.pk):
        return "You asked for it yourself: it takes a second person."
    needed = needed_for(approval)
    if not by.may(*needed):
        return f"To decide on it takes the permissions {' and '.join(needed)}."
    return ""


def needed_for(approval: Approval) -> tuple[str, ...]:
    """The permissions that it takes to decide on it."""
    return (DECIDE, *sensitive(approval.action).permissions(approval.data))


def asker_lacks(approval: Approval) -> str:
    """Why it cannot be approved because of the person who asked, as that person is now; "" where nothing is lacking.

    It stays to be decided on: it can be refused, and approved once that person may again.
    """
    asker = approval.asker
    if asker is None:  # the command line, where who can run commands may do all
        return ""
    if not asker.is_active:
        return f"{approval.asked_by} is not active any more, and it would be done in that name. {REFUSE}"
    for permission in sensitive(approval.action).permissions(approval.data):
        if not (asker.is_staff and asker.has_perm(permission)):
            return f"{approval.asked_by} may not do it any more: it takes the permission {permission}. {REFUSE}"
    return ""


def approve(approval_id: UUID, *, by: Person, reason: str, digest: str) -> Approval:
    """Approves a command, and has it carried out. `digest` is that of the command that this person saw.

    Two who approve at once: one does, the other is told. A command whose versions have changed becomes stale.

    Raises:
        NotDecided: it was not approved, and why; nothing was done. It is on record.
    """
    approval = _decide(approval_id, by=by, reason=reason, digest=digest, state=Approval.State.APPROVED)
    return carry_out(approval.pk)


def refuse(approval_id: UUID, *, by: Person, reason: str, digest: str) -> Approval:
    """
    Raises:
        NotDecided: as for `approve`.
    """
    return _decide(approval_id, by=by, reason=reason, digest=digest, state=Approval.State.REFUSED)


def _decide(approval_id: UUID, *, by: Person, reason: str, digest: str, state: Approval.State) -> Approval:
    verb = "approve" if state == Approval.State.APPROVED else "refuse"
    with transaction.atomic():
        approval = Approval.objects.select_for_update().filter(pk=approval_id).first()
        if approval is None:
            raise NotDecided("There is no such question.")
        why_not = may_decide(approval, by)
        if not why_not and digest != approval.digest:
            why_not = "The command is not the one that you saw. Look at it again."
        if not why_not and state == Approval.State.APPROVED and (lacks := asker_lacks(approval)):
            why_not = f"Nothing was done. {lacks}"
        if not why_not and state == Approval.State.APPROVED and (changes := what_changed(approval)):
            why_not = f"{STALE} {changes} {ANEW}"
            approval.state, approval.decision_reason = Approval.State.STALE, why_not
            approval.decided_at = timezone.now()
            approval.save(update_fields=["state", "decision_reason", "decided_at"])
        if not why_not:
            approval.state, approval.decided_by, approval.decider = state, by.actor[:200], by.user
            approval.decided_at, approval.decision_reason = timezone.now(), reason
            approval.save(update_fields=["state", "decided_by", "decider", "decided_at", "decision_reason"])
        detail: dict[str, Any] = {"approval": str(approval.pk), "digest": approval.digest}
        if why_not:
            detail["message"] = why_not
        by.note(
            action=f"{verb}_{approval.action}",
            subject=approval.subject,
            reason=reason,
            done=not why_not,
            detail=detail,
        )
    if why_not:
        raise NotDecided(why_not)
    return approval


def what_changed(approval: Approval) -> str:
    """In what it is not now as it was looked at, in sentences; "" where it is."""
    action = sensitive(approval.action)
    now = action.versions(approval.data)
    return "" if now == approval.versions else " ".join(action.differences(approval.versions, now))
