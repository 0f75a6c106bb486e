"""Doing what was approved, once."""

from datetime import timedelta
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ops.approvals.asking import bounded
from ops.approvals.models import Approval
from ops.approvals.registry import Approved, CannotDo, Carried, SensitiveAction, Stale, sensitive
from ops.audit.record import record_act
from ops.database.locks import session_lock

log = structlog.get_logger(__name__)

GIVE_UP_AFTER = timedelta(hours=1)
"""What was approved and could not be carried out in this time is not tried any more."""


def approved_of(approval: Approval) -> Approved:
    return Approved(approval.pk, approval.asked_by, approval.decided_by, approval.reason, approval.versions)


def carry_out(approval_id: UUID) -> Approval:
    """Does what was approved and is not done yet, and writes down what came of it.

    Whoever approved calls it, and the sweep for what was interrupted; the action sees to it that it has one effect,
    by the approval's id. Where the database or something else is away, it stays for the sweep.
    """
    with session_lock(f"approval:{approval_id}") as alone:
        approval = Approval.objects.get(pk=approval_id)
        if alone and approval.state == Approval.State.APPROVED and not approval.outcome:
            _carry_out(approval, sensitive(approval.action))
    return Approval.objects.get(pk=approval_id)


def _carry_out(approval: Approval, action: SensitiveAction) -> None:
    if action.is_collected:
        Approval.objects.filter(pk=approval.pk, outcome="").update(outcome=Approval.Outcome.COLLECT)
        return
    try:
        carried = action.execute(approval.data, approved_of(approval))
    except Stale as why:
        _write(approval, Approval.State.STALE, Approval.Outcome.FAILED, Carried([str(why)]))
    except CannotDo as why:
        _write(approval, Approval.State.APPROVED, Approval.Outcome.FAILED, Carried([str(why)]))
    except Exception as error:
        log.exception("approved_command_waits", approval=str(approval.pk), action=approval.action)
        if isinstance(error, (DatabaseError, InterfaceError)):
            connection.close()  # it may be broken
        if approval.decided_at is None or timezone.now() - approval.decided_at > GIVE_UP_AFTER:
            told = f"It could not be carried out: {error!r}. Look whether it was done before asking for it anew."
            _write(approval, Approval.State.APPROVED, Approval.Outcome.FAILED, Carried([told[:1000]]))
    else:
        _write(approval, Approval.State.APPROVED, Approval.Outcome.DONE, carried)


def _write(approval: Approval, state: Approval.State, outcome: Approval.Outcome, carried: Carried) -> None:
    lines = bounded(list(carried.lines))
    with transaction.atomic():
        undone = Approval.objects.filter(pk=approval.pk, state=Approval.State.APPROVED, outcome="")
        if not undone.update(
            state=state, outcome=outcome, result=lines, result_url=carried.url[:300], executed_at=Now()
        ):
            return
        record_act(
            actor=approval.asked_by,
            action=f"start_{approval.action}" if carried.only_begun else approval.action,
            subject=approval.subject,
            reason=approval.reason,
            done=outcome == Approval.Outcome.DONE,
            detail={"approval": str(approval.pk), "approved_by": approval.decided_by, "report": lines},
        )
