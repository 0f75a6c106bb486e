"""The emergency procedures of the ground floor: ending sessions, resetting the pools, cleaning up."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db import connection
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from ops.access.permissions import END_SESSIONS, RESET_POOL, RUN_CLEANUP
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.procedure import AtOnce, ByJob, Plan
from ops.approvals.own import key_of, own_sessions, told
from ops.conf import get_settings
from ops.database import pool_facts
from ops.debug.cleanup import clean_up
from ops.detectors import resetting
from ops.detectors.ending import Action, described, end, session_of, transactions_older_than
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session

MOST_AT_ONCE = 200
"""Sessions in one preview: what is more is for the next."""
HOW = [
    ("cancel", "Cancel the statement under way, and leave the session"),
    ("terminate", "End the session, and roll its transaction back: takes two persons"),
]
ACTS: dict[Action, str] = {"cancel": "Cancel the statement of session", "terminate": "End session"}


class HowForm(ReasonForm):
    field_order = ("how", "older_than", "reason")
    how = forms.ChoiceField(label="How", choices=HOW, widget=UnfoldAdminSelectWidget)


class OlderThanForm(HowForm):
    older_than = forms.FloatField(
        label="Older than (seconds)",
        min_value=1,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Transactions of the bank that have lasted longer.",
        error_messages={"min_value": "Write at least 1 second.", "invalid": "Write a number of seconds, such as 60."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["older_than"].initial = get_settings().transaction_timeout


class Ending(AtOnce):
    """Ends sessions of the bank; those of others, never: that takes `--force` on the command line.

    To cancel a statement loses nothing that was committed, and is done at once. To end a session takes two persons.
    """

    permission = END_SESSIONS
    command = "manage.py terminate_transactions"

    def two_persons(self, data: dict[str, Any]) -> str:
        return "terminate" if data["how"] == "terminate" else ""

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"sessions": chosen}

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        """Each in the very transaction that was listed, or not at all."""
        assert data["how"] == "cancel", "to end sessions takes two persons"
        now = own_sessions()
        report = []
        for key in chosen:
            session = now.get(tuple(key))
            outcome = (
                end(session, "cancel", actor=actor, reason=reason).outcome if session else Resolution.Outcome.GONE
            )
            report.append(f"Session {key[0]}: {told(outcome)}.")
        return report

    def _plan(self, found: Sequence[Session], action: Action) -> Plan:
        own = [session for session in found if session.own][:MOST_AT_ONCE]
        others = [session for session in found if not session.own]
        lines = [
            f"{ACTS[action]} {line.strip()}{_for_whom(session)}"
            for session, line in zip(own, described(own), strict=True)
        ]
        return Plan(lines, [key_of(session) for session in own], described(others[:MOST_AT_ONCE]))


class EndTransactions(Ending):
    action = "end_transactions"
    button = "End long transactions"
    about = "Transactions of the bank that have lasted too long. What they wrote is rolled back."
    form = OlderThanForm
    subject = "installation"

    def plan(self, data: dict[str, Any]) -> Plan:
        return self._plan(transactions_older_than(data["older_than"]), data["how"])


class EndSession(Ending):
    action = "end_session"
    button = "End a session"
    about = "One session of the bank in PostgreSQL. What its transaction wrote is rolled back."
    form = HowForm

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def subject(self) -> str:
        return f"backend:{self.pid}"

    def plan(self, data: dict[str, Any]) -> Plan:
        session = session_of(self.pid)
        if session is None:
            raise NotDone(f"There is no session {self.pid} any more.")
        if connection.connection is not None and connection.connection.info.backend_pid == self.pid:
            raise NotDone("That session is the one that this page works with.")
        return self._plan([session], data["how"])


class ResetPools(AtOnce):
    action = "reset_pools"
    permission = RESET_POOL
    button = "Reset the pools"
    about = (
        "Every process of this machine replaces its connections to PostgreSQL: idle ones at once, others when they "
        "are given back. Nobody's work is cut off."
    )
    command = "manage.py reset_pool"
    subject = "pool"

    def plan(self, data: dict[str, Any]) -> Plan:
        return Plan(resetting.described(pool_facts()))

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        done = resetting.reset_pools(actor=actor, reason=reason)
        report = [f"{done.pools - len(done.missing)} of {done.pools} pools were reset."]
        if done.missing:
            named = ", ".join(map(str, done.missing))
            report.append(f"Processes {named} have not answered: they may hang. Restart them if they do not.")
        return report


class CleanUp(ByJob):
    action = job = "cleanup"
    permission = RUN_CLEANUP
    button = "Clean up"
    about = (
        "Removes what is past its retention, and rows of read models that no event accounts for. Events, audit "
        "entries and resolutions stay."
    )
    command = "manage.py cleanup"
    subject = "installation"

    def two_persons(self, data: dict[str, Any]) -> str:
        return "cleanup"

    def plan(self, data: dict[str, Any]) -> Plan:
        found = clean_up(dry_run=True)
        return Plan(found.in_words()) if any(found.removed.values()) or found.unfinished else Plan([])


def _for_whom(session: Session) -> str:
    return "".join(f", for {op['kind']} {op['name']} of {op['actor'] or 'the bank'}" for op in session.operations)
