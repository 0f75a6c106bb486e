"""Asking for a second person's approval, and taking that back."""

from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ops.approvals.models import Approval, canonical, digest_of
from ops.approvals.persons import Person
from ops.approvals.registry import CannotDo, Command, sensitive
from ops.conf import get_settings

MOST_LINES = 500
"""Lines of a preview that are kept."""


class AlreadyAsked(CannotDo):
    """The very same waits for a second person already."""

    def __init__(self, approval: Approval) -> None:
        super().__init__(
            f"Nothing was asked for: {approval.asked_by} asked for the same, and it waits for a second person."
        )
        self.approval = approval


def ask(action: str, command: Command, *, subject: str, reason: str, by: Person, limit: str = "") -> Approval:
    """Puts a command before a second person, with its preview and the versions that it counts for. Nothing is done
    yet. `limit` says why it takes a second person, where that depends on the command.

    Raises:
        CannotDo: it would not be done now, or is asked for already (`AlreadyAsked`).
        LookupError: no sensitive action of that name.
    """
    kind = sensitive(action)
    versions = kind.versions(command)
    lines = list(kind.preview(command))
    if not lines:
        raise CannotDo("There is nothing to do.")
    text = canonical(command)
    approval = Approval(
        action=action,
        subject=subject[:200],
        command=text,
        digest=digest_of(text),
        preview=bounded(lines),
        versions=versions,
        limit=limit[:200],
        asked_by=by.actor[:200],
        asker=by.user,
        reason=reason,
        expires_at=timezone.now() + timedelta(hours=get_settings().approval_expires_hours),
    )
    try:
        with transaction.atomic():
            _give_up_stale(approval)
            approval.save(force_insert=True)
            detail = {
                "approval": str(approval.pk),
                "in_words": dict(kind.in_words(command)),
                "command": command,
                "versions": versions,
                "limit": limit,
            }
            by.note(action=f"ask_{action}", subject=approval.subject, reason=reason, done=True, detail=detail)
    except IntegrityError:
        waiting = Approval.objects.filter(action=action, digest=approval.digest, state=Approval.State.PENDING).first()
        if waiting is None:
            raise
        raise AlreadyAsked(waiting) from None
    return approval


def _give_up_stale(approval: Approval) -> None:
    """The same question on versions that have passed makes room for this one."""
    same = Approval.objects.filter(action=approval.action, digest=approval.digest, state=Approval.State.PENDING)
    for stale in same.exclude(versions=approval.versions):
        changes = " ".join(sensitive(approval.action).differences(stale.versions, approval.versions))
        same.filter(pk=stale.pk).update(
            state=Approval.State.STALE, decided_at=Now(), decision_reason=f"It was asked for anew. {changes}"
        )


def bounded(lines: list[str]) -> list[str]:
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[:MOST_LINES], f"{len(lines) - MOST_LINES} further lines are left out."]


def withdraw(approval_id: UUID, *, by: Person, reason: str) -> bool:
    """Takes one's own question back; False where it is not one's own, or is decided."""
    with transaction.atomic():
        own = Approval.objects.filter(pk=approval_id, asked_by=by.actor, state=Approval.State.PENDING)
        if not own.update(state=Approval.State.WITHDRAWN, decided_at=Now(), decision_reason=reason):
            return False
        approval = Approval.objects.get(pk=approval_id)
        by.note(
            action=f"withdraw_{approval.action}",
            subject=approval.subject,
            reason=reason,
            done=True,
            detail={"approval": str(approval.pk)},
        )
    return True
