"""The ground floor's own actions that take two persons, besides the cleanup: ending sessions, keys that can write."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from ops.access.keys import KeyNotIssued, issue_key
from ops.access.permissions import END_SESSIONS
from ops.approvals.registry import Approved, CannotDo, Carried, Command, SensitiveAction, Stale
from ops.detectors.ending import described, end
from ops.detectors.models import Resolution
from ops.detectors.sessions import Session, sessions
from ops.models import ApiClient, ApiKey

Key = list[Any]


def key_of(session: Session) -> Key:
    """Which session, in which transaction."""
    return [session.pid, _iso(session.backend_start), _iso(session.xact_start)]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def own_sessions() -> dict[tuple[Any, ...], Session]:
    return {tuple(key_of(session)): session for session in sessions() if session.own}


def _operation(session: Session, operation_id: str) -> dict[str, Any] | None:
    return next((operation for operation in session.operations if operation["id"] == operation_id), None)


def in_words(operation: dict[str, Any]) -> str:
    """Which operation, for people."""
    return f"{operation['kind']} {operation['name']} of {operation['actor'] or 'the bank'}"


def told(outcome: str) -> str:
    return Resolution.Outcome(outcome).label.lower()


class Terminate(SensitiveAction):
    """{"sessions": [[pid, began, transaction began], ...]}: each in the very transaction that was looked at. With
    "operation", an id: and only while it works for that one."""

    name = "terminate"
    title = "End sessions"
    permission = END_SESSIONS

    def preview(self, command: Command) -> Sequence[str]:
        found, wanted = list(self._meant(command).values()), command.get("operation")
        lines = [f"End session {line.strip()}" for line in described(found)]
        meant = [operation for session in found if wanted and (operation := _operation(session, wanted))]
        return [*lines, *(f"It works for {in_words(operation)}." for operation in meant)]

    def versions(self, command: Command) -> dict[str, Any]:
        now = self._meant(command)
        return {str(key[0]): "same transaction" if tuple(key) in now else "gone" for key in command["sessions"]}

    def _meant(self, command: Command) -> dict[tuple[Any, ...], Session]:
        """Those of the sessions that are still as they were looked at."""
        wanted, now = command.get("operation"), own_sessions()
        found = {key: now[key] for key in map(tuple, command["sessions"]) if key in now}
        return {key: session for key, session in found.items() if not wanted or _operation(session, wanted)}

    def execute(self, command: Command, approved: Approved) -> Carried:
        now, wanted = self._meant(command), command.get("operation")
        report = []
        for key in command["sessions"]:
            session = now.get(tuple(key))
            reason = f"{approved.reason} (approved by {approved.decided_by})"
            outcome = (
                end(
                    session,
                    "terminate",
                    actor=approved.asked_by,
                    reason=reason,
                    operation=_operation(session, wanted) if wanted else None,
                ).outcome
                if session
                else Resolution.Outcome.GONE
            )
            report.append(f"Session {key[0]}: {told(outcome)}.")
        return Carried(report)


class IssueKey(SensitiveAction):
    """{"client": id, "scopes": [...], "expires_at": ISO 8601}. The token is shown to the person who asked, once, when
    they come for it."""

    name = "issue_key"
    title = "Issue an API key that can write"
    permission = "ops.issue_apikey"
    is_collected = True

    def preview(self, command: Command) -> Sequence[str]:
        client = self._client(command)
        if not client.is_active:
            raise CannotDo(f"The client {client.name} is not active: activate it first.")
        if datetime.fromisoformat(command["expires_at"]) <= timezone.now():
            raise CannotDo("The key would have expired by now.")
        return [
            f"A key for {client.name}, which reaches: {client.get_reach_display().lower()}.",
            f"It may: {', '.join(command['scopes'])}.",
            f"It works until {command['expires_at']}.",
        ]

    def versions(self, command: Command) -> dict[str, Any]:
        client = self._client(command)
        return {"client": client.name, "reach": client.reach, "is_active": client.is_active}

    def execute(self, command: Command, approved: Approved) -> Carried:
        raise CannotDo("The person who asked for it collects it.")

    def issue(self, command: Command, approved: Approved, *, to: User) -> tuple[ApiKey, str]:
        """The key and its token; called once, inside the transaction that marks the approval as done.

        Raises:
            Stale, CannotDo: no key was issued.
        """
        # Locked, so that nobody widens the client's reach in the meantime.
        ApiClient.objects.select_for_update().filter(pk=command["client"]).first()
        if (now := self.versions(command)) != approved.versions:
            changes = " ".join(self.differences(approved.versions, now))
            raise Stale(f"The API client has changed since it was asked for: {changes} No key was issued.")
        try:
            return issue_key(
                client=self._client(command),
                scopes=command["scopes"],
                expires_at=datetime.fromisoformat(command["expires_at"]),
                issued_by=to,
            )
        except KeyNotIssued as error:
            raise CannotDo(error.message) from error

    def _client(self, command: Command) -> ApiClient:
        client = ApiClient.objects.filter(pk=command["client"]).first()
        if client is None:
            raise CannotDo("There is no such API client any more.")
        return client
