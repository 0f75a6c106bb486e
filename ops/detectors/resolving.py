"""Ending what is stuck, where ENABLE_AUTO_RESOLUTION asks for it: first its statement, a look later its session.

Only a transaction that the bank itself began is touched: its session bears the application's name and role, and an
operation in hand says that it works with this very backend (process id and start), and it is that operation that is
past its deadline, or whose transaction has lasted longer than TRANSACTION_TIMEOUT. That of a job may last until the
job's deadline, and operations without a deadline may take as long as they take. What was cancelled was not done, and
its caller is told so; what was ended may be in doubt, and is told as such.
"""

import time
from typing import Any

from ops.conf import get_settings
from ops.detectors import incidents
from ops.detectors.ending import MONITOR, Action, end
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session

Key = tuple[str, int, str]
"""Operation, backend, and when that began."""


class Resolver:
    """Remembers what it has cancelled from one look to the next."""

    def __init__(self) -> None:
        self._cancelled: set[Key] = set()

    def resolve(self, found: list[Session]) -> list[Resolution]:
        """Acts on the sessions of one look; returns what was done.

        Raises:
            CannotLook: PostgreSQL does not answer any more.
        """
        now = time.time()
        overdue = [(session, op, why) for session in found if (due := _overdue(session, now)) for op, why in [due]]
        done = [self._act(session, op, why) for session, op, why in overdue]
        self._cancelled &= {_key(session, op) for session, op, _ in overdue}
        return done

    def _act(self, session: Session, op: dict[str, Any], why: str) -> Resolution:
        key = _key(session, op)
        action: Action = "terminate" if key in self._cancelled else "cancel"
        resolution = end(session, action, actor=MONITOR, reason=why, operation=op)
        self._cancelled.add(key)
        incidents.note_resolution("stuck_operation", op["id"], f"{action}: {resolution.outcome}")
        return resolution


def _overdue(session: Session, now: float) -> tuple[dict[str, Any], str] | None:
    """The operation for which the session's transaction is to be ended, and why."""
    if not session.own or session.xact_start is None or session.state == "idle":
        return None
    limit = get_settings().transaction_timeout
    for op in session.operations:
        if op["deadline"] is None:
            return None  # an import, or part of what somebody has begun by hand
        if now > op["deadline"]:
            return op, f"{op['kind']} {op['name']} is {now - op['deadline']:.1f} s past its deadline"
        if (session.transaction_seconds or 0.0) > limit and not session.of_a_job:
            return op, f"{op['kind']} {op['name']} is in a transaction of {session.transaction_seconds:.1f} s"
    return None


def _key(session: Session, op: dict[str, Any]) -> Key:
    return op["id"], session.pid, str(session.backend_start)
