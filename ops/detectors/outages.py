"""Servers that the bank works with, and whether they answer. PostgreSQL is not among them: while it does not answer
nothing can be recorded, so its outages are kept in mind until it does (`Mind`)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import InterfaceError, OperationalError
from django.utils import timezone
from psycopg_pool import PoolTimeout

from ops.detectors import looking
from ops.detectors.findings import Finding, finding
from ops.detectors.looking import CannotLook

OUTAGE = "outage"
SILENCE = (OperationalError, InterfaceError, PoolTimeout, CannotLook)
"""What PostgreSQL is heard of by when it does not answer; also when it ends a session of ours, though."""

_servers: dict[str, tuple[str, Callable[[], str | None]]] = {}


def register_server(subject: str, name: str, silence: Callable[[], str | None]) -> None:
    """`silence` asks the server, within a second or two, and says why it took no answer, such as "TimeoutError"; None
    where there was one.

    Raises:
        ValueError: the subject is taken.
    """
    if subject in _servers:
        raise ValueError(f"server {subject!r} is registered twice")
    _servers[subject] = name, silence


def outages() -> list[Finding]:
    found = []
    for subject, (name, silence) in _servers.items():
        if why := silence():
            found.append(outage(subject, name, why))
    return found


def outage(subject: str, name: str, why: str) -> Finding:
    return finding(OUTAGE, subject, measured=0, threshold=1, unit="answers", reason=f"{name} does not answer: {why}.")


@dataclass(slots=True)
class Mind:
    """What a monitor remembers of PostgreSQL's silence."""

    since: datetime | None = None
    why: str = ""

    def note(self, error: Exception) -> None:
        """After a look that failed: the outage begins, where it is one."""
        if self.since is None and isinstance(error, SILENCE) and not _answers():
            self.since, self.why = timezone.now(), type(error).__name__

    def finding(self) -> Finding:
        return outage("postgresql", "PostgreSQL", f"{self.why}. Recorded when it answered again")

    def forget(self) -> None:
        self.since = None


def _answers() -> bool:
    try:
        looking.rows("SELECT 1")
    except CannotLook:
        return False
    return True
