"""Cancelling statements and ending sessions of PostgreSQL, on record."""

from collections.abc import Sequence
from typing import Any, Literal

import psycopg
import structlog
from django.db import transaction

from ops.audit.record import record_act
from ops.detectors.looking import rows
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session, sessions

log = structlog.get_logger(__name__)

Action = Literal["cancel", "terminate"]
MONITOR = "system:monitor"

FUNCTIONS: dict[Action, str] = {"cancel": "pg_cancel_backend", "terminate": "pg_terminate_backend"}
_ACTS: dict[Action, str] = {
    action: f"""
        SELECT {function}(pid) AS done
          FROM pg_stat_activity
         WHERE pid = %s AND backend_start IS NOT DISTINCT FROM %s AND xact_start IS NOT DISTINCT FROM %s
           AND datname = current_database() AND pid <> pg_backend_pid()
    """
    for action, function in FUNCTIONS.items()
}


class NotOurs(Exception):
    """The session is not the application's: it is ended by force only."""


def transactions_older_than(seconds: float) -> list[Session]:
    """Sessions whose transaction has lasted longer, oldest first; the bank's own and those that this role may look
    into.

    Raises:
        CannotLook: PostgreSQL does not answer.
    """
    old = [s for s in sessions() if s.transaction_seconds is not None and s.transaction_seconds > seconds]
    return sorted(old, key=lambda session: -(session.transaction_seconds or 0.0))


def session_of(pid: int) -> Session | None:
    return next((session for session in sessions() if session.pid == pid), None)


def end(
    session: Session,
    action: Action,
    *,
    actor: str,
    reason: str,
    forced: bool = False,
    operation: dict[str, Any] | None = None,
) -> Resolution:
    """Cancels what a session does, or ends it, provided that it is still in the very transaction that was seen; the
    outcome is recorded, also where PostgreSQL refuses.

    Raises:
        NotOurs: it is not the application's own, and `forced` was not given; nothing was done.
        CannotLook: PostgreSQL does not answer.
    """
    if not session.own and not forced:
        raise NotOurs(
            f"session {session.pid} is {session.application or 'unnamed'} of {session.role}, not the bank's"
        )
    outcome = _act(session, action)
    log.warning("session_ended_by_force", action=action, pid=session.pid, outcome=outcome, actor=actor, why=reason)
    resolution = Resolution(
        action=action,
        outcome=outcome,
        actor=actor,
        reason=reason,
        pid=session.pid,
        backend_start=session.backend_start,
        operation=operation["id"] if operation else "",
        detail={"session": session.told(), "forced": forced},
    )
    on_record(resolution)
    return resolution


def on_record(resolution: Resolution) -> None:
    """Stores what was done, and an audit entry with it."""
    subject = f"backend:{resolution.pid}" if resolution.pid else "pool"
    with transaction.atomic():
        resolution.save()
        record_act(
            actor=resolution.actor,
            action=resolution.action,
            subject=subject,
            reason=resolution.reason,
            done=resolution.outcome != Resolution.Outcome.REFUSED,
            detail={"resolution": resolution.pk, "outcome": resolution.outcome},
        )


def _act(session: Session, action: Action) -> Resolution.Outcome:
    try:
        found = rows(_ACTS[action], (session.pid, session.backend_start, session.xact_start))
    except psycopg.errors.InsufficientPrivilege:
        return Resolution.Outcome.REFUSED
    return Resolution.Outcome.DONE if found and found[0]["done"] else Resolution.Outcome.GONE


def described(found: Sequence[Session]) -> list[str]:
    """A line for each session, for people."""
    return [
        f"{session.pid:>8}  {session.transaction_seconds or 0:8.1f} s  {session.state or 'unknown':<20} "
        f"{session.application or session.role:<24} {session.statement[:80]}"
        for session in found
    ]
