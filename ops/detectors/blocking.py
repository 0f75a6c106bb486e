"""Who blocks whom, and which transactions last too long."""

from collections import defaultdict
from typing import Any

from ops.conf import get_settings
from ops.database.locks import families
from ops.detectors.findings import Finding, finding
from ops.detectors.sessions import Session, sessions

BLOCKED_TOO_LONG = 1.0
"""Seconds that a session may wait for a lock before its blocker is a finding."""


def blocked() -> list[dict[str, Any]]:
    """The sessions that wait for a lock and those that they wait for, longest waiting first.

    Each names its blockers in `blocked_by` and those that it blocks itself in `blocks`: with them a tree is drawn,
    from the ones with an empty `blocked_by` down. `operations` are the bank's own in that session.

    Raises:
        CannotLook: PostgreSQL does not answer.
    """
    return _blocked(sessions())


def _blocked(found: list[Session]) -> list[dict[str, Any]]:
    blocks: dict[int, list[int]] = defaultdict(list)
    for session in found:
        for pid in session.blocked_by:
            blocks[pid].append(session.pid)
    involved = [session for session in found if session.waiting_for or session.pid in blocks]
    told = [session.told() | {"blocks": blocks.get(session.pid, [])} for session in involved]
    return sorted(told, key=lambda entry: -(entry["waiting_for"] or {"seconds": 0.0})["seconds"])


def blockers(found: list[Session]) -> list[Finding]:
    """A finding for each session that blocks others for too long and is blocked by none itself."""
    entries = {entry["pid"]: entry for entry in _blocked(found)}
    roots = {pid: entry for pid, entry in entries.items() if entry["blocks"] and not entry["blocked_by"]}
    report = []
    for pid, root in roots.items():
        behind = [entries[other] for other in sorted(_behind(pid, entries))]
        longest = max((entry["waiting_for"]["seconds"] for entry in behind if entry["waiting_for"]), default=0.0)
        if longest >= BLOCKED_TOO_LONG:
            report.append(
                finding(
                    "blocking",
                    f"backend {pid} since {root['backend_start']}",
                    measured=longest,
                    threshold=BLOCKED_TOO_LONG,
                    reason=f"Session {pid} ({root['application']}) keeps {len(behind)} others waiting for a lock.",
                    blocker=root,
                    waiting=behind[:20],
                )
            )
    return report


def _behind(pid: int, entries: dict[int, dict[str, Any]]) -> set[int]:
    """All that wait for a session, directly or for one that waits."""
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        for other in entries[ahead.pop()]["blocks"]:
            if other not in found and other in entries:
                found.add(other)
                ahead.append(other)
    return found


def long_transactions() -> list[Finding]:
    """Transactions of the bank's own sessions that sit idle or (but for jobs) last too long, and whoever holds a lock
    that should be held for a moment only, such as an append that keeps the feed back.

    Raises:
        CannotLook: PostgreSQL does not answer.
    """
    return too_long(sessions())


def too_long(found: list[Session]) -> list[Finding]:
    return [entry for session in found for entry in _of_session(session)]


def _of_session(session: Session) -> list[Finding]:
    settings, known, report = get_settings(), families(), []
    subject = f"backend {session.pid} since {session.backend_start}"
    lasted = session.transaction_seconds or 0.0
    idle = (session.state_seconds or 0.0) if (session.state or "").startswith("idle in transaction") else 0.0

    def add(kind: str, measured: float, threshold: float, reason: str) -> None:
        if measured > threshold:
            report.append(
                finding(kind, subject, measured=measured, threshold=threshold, reason=reason, session=session.told())
            )

    if session.own:
        who = f"Session {session.pid} ({session.application})"
        add("idle_in_transaction", idle, settings.deadlock_operation_timeout, f"{who} sits idle in a transaction.")
        if not session.of_a_job:
            add("long_transaction", lasted, settings.transaction_timeout, f"{who} is in a long transaction.")
    for mark in session.families:
        if family := known.get(mark):
            add("lock_held", lasted, family.most, f"Session {session.pid} is an {family.name}.")
    return report
