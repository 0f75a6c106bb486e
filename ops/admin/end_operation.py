"""Cancelling one operation from its row: the statement that it waits for, or the session that it works with."""

import time
from collections.abc import Sequence
from typing import Any

from django.db import connection

from ops import operations
from ops.admin.emergency import ACTS, Ending, HowForm
from ops.admin.managed import NotDone
from ops.admin.procedure import Plan
from ops.approvals.own import in_words, key_of, told
from ops.detectors.ending import described, end
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session, sessions

GONE_WITHIN = 2.0
"""Seconds that a cancelled operation gets to end, before the report says that it goes on."""
ENDED = "Nothing was done: the operation has ended."


class EndOperation(Ending):
    """It is the operation that is meant, whichever session it works with by then. A session is touched only where the
    operation's own board says that it works with it, and only in the transaction in which it was seen to."""

    action = "end_operation"
    button = "Stop this operation"
    about = (
        "Ends one operation of the bank: it fails, what its transaction wrote is rolled back, and who asked for it "
        "is told so, and may try again."
    )
    form = HowForm

    def __init__(self, operation_id: str) -> None:
        self.id = operation_id

    @property
    def subject(self) -> str:
        return f"operation:{self.id}"

    def plan(self, data: dict[str, Any]) -> Plan:
        operation, session = self._found()
        lines = [f"{ACTS[data['how']]} {described([session])[0].strip()}", f"It works for {in_words(operation)}."]
        inside = [other for other in session.operations if other["id"] != self.id]
        lines += [f"The same thread is in {in_words(other)}: that fails with it." for other in inside]
        return Plan(lines, key_of(session))

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        """For the second person: this very transaction, and only while it is this operation's."""
        return {"sessions": [chosen], "operation": self.id}

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        assert data["how"] == "cancel", "to end sessions takes two persons"
        operation, session = self._found()
        done = end(session, "cancel", actor=actor, reason=reason, operation=operation)
        if done.outcome != Resolution.Outcome.DONE:
            raise NotDone(f"Nothing was cancelled: session {session.pid}: {told(done.outcome)}.")
        lines = [f"The statement of session {session.pid} was cancelled, for {in_words(operation)}."]
        return [*lines, "The operation has ended." if self._ends() else self._goes_on()]

    def _found(self) -> tuple[dict[str, Any], Session]:
        """The operation, and the session that works for it now.

        Raises:
            NotDone: there is nothing to cancel, and why.
        """
        operation = self._in_hand()
        if operation is None:
            raise NotDone(ENDED)
        pid = operation["database_pid"]
        if pid is None:
            raise NotDone(
                "Nothing was done: the operation works with no session of PostgreSQL now, so there is no statement "
                f"to cancel. It is in {operation['process']['role']} {operation['process']['pid']}; look again."
            )
        if connection.connection is not None and connection.connection.info.backend_pid == pid:
            raise NotDone("That session is the one that this page works with.")
        for session in sessions():
            if session.pid == pid and any(other["id"] == self.id for other in session.operations):
                return operation, session
        if self._in_hand() is None:
            raise NotDone(ENDED)
        raise NotDone(f"Nothing was done: session {pid} does not work for this operation any more. Look again.")

    def _in_hand(self) -> dict[str, Any] | None:
        return next((operation for operation in operations.active() if operation["id"] == self.id), None)

    def _ends(self) -> bool:
        deadline = time.monotonic() + GONE_WITHIN
        while self._in_hand() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _goes_on(self) -> str:
        return "The operation is still in hand: it goes on after the statement, or tries again. Look at its row."
