"""Sessions of PostgreSQL: which are the bank's own, what they wait for, and which operations they are of.

The application's role sees of other roles' sessions that they exist and what they lock, not what they do.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops import operations
from ops.database.locks import families
from ops.detectors.looking import rows

OWN_NAMES = "bankes:%"
STATEMENT_SHOWN = 300

_SESSIONS = f"""
    WITH waiting AS MATERIALIZED (
        SELECT DISTINCT ON (pid) pid, locktype, mode, relation::regclass::text AS relation,
               extract(epoch FROM clock_timestamp() - waitstart)::float8 AS seconds
          FROM pg_locks
         WHERE NOT granted
    ), families AS MATERIALIZED (
        SELECT pid, array_agg(DISTINCT classid::bigint >> 24) AS marks
          FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND classid::bigint >> 24 = ANY (%s::bigint[])
         GROUP BY pid
    )
    SELECT a.pid, a.backend_start, a.usename AS role, a.application_name AS application, a.state, a.xact_start,
           a.usename = current_user AND a.application_name LIKE '{OWN_NAMES.replace("%", "%%")}' AS own,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
           extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
           left(a.query, {STATEMENT_SHOWN}) AS query,
           w.locktype, w.mode, w.relation, w.seconds AS waiting_seconds,
           CASE WHEN w.pid IS NULL THEN ARRAY[]::int[] ELSE pg_blocking_pids(a.pid) END AS blocked_by,
           coalesce(f.marks, ARRAY[]::bigint[]) AS marks
      FROM pg_stat_activity a
      LEFT JOIN waiting w USING (pid)
      LEFT JOIN families f USING (pid)
     WHERE a.datname = current_database() AND coalesce(a.backend_type, 'client backend') = 'client backend'
       AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the bank's database. `own`: it is the application's, by name and role. What PostgreSQL does not
    let this role see is None."""

    pid: int
    backend_start: datetime | None
    role: str
    application: str
    own: bool
    state: str | None
    xact_start: datetime | None
    transaction_seconds: float | None
    state_seconds: float | None
    query: str
    waiting_for: dict[str, Any] | None
    blocked_by: tuple[int, ...]
    families: tuple[int, ...]
    operations: list[dict[str, Any]] = field(default_factory=list)
    """Those in hand that say that they work with this very backend; the innermost last."""

    @property
    def of_a_job(self) -> bool:
        """Its transaction may last as long as the job does."""
        return any(map(operations.is_job, self.operations))

    @property
    def statement(self) -> str:
        """Without its values."""
        return masked(self.query)

    def told(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "pid": self.pid,
            "backend_start": self.backend_start.isoformat() if self.backend_start else None,
            "application": self.application,
            "role": self.role,
            "own": self.own,
            "state": self.state,
            "transaction_seconds": rounded(self.transaction_seconds),
            "state_seconds": rounded(self.state_seconds),
            "statement": self.statement,
            "waiting_for": self.waiting_for,
            "blocked_by": list(self.blocked_by),
            "operations": [
                {key: op[key] for key in ("id", "kind", "name", "resources", "actor", "step", "age")}
                for op in self.operations
            ],
        }


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 3)


def sessions() -> list[Session]:
    """All of the bank's database, joined with the operations in hand.

    Raises:
        CannotLook: PostgreSQL does not answer.
    """
    found = [_session(row) for row in rows(_SESSIONS, (list(families()),))]
    by_backend = {(session.pid, session.backend_start): session for session in found}
    for op in operations.active():
        if op["database_pid"] is not None and op.get("database_since"):
            session = by_backend.get((op["database_pid"], datetime.fromisoformat(op["database_since"])))
            if session is not None and session.own:
                session.operations.append(op)
    return found


def _session(row: dict[str, Any]) -> Session:
    waiting = row["waiting_seconds"] is not None or row["locktype"] is not None
    return Session(
        pid=row["pid"],
        backend_start=row["backend_start"],
        role=row["role"] or "",
        application=row["application"] or "",
        own=bool(row["own"]),
        state=row["state"],
        xact_start=row["xact_start"],
        transaction_seconds=row["transaction_seconds"],
        state_seconds=row["state_seconds"],
        query=row["query"] or "",
        waiting_for={
            "locktype": row["locktype"],
            "mode": row["mode"],
            "relation": row["relation"],
            "seconds": rounded(row["waiting_seconds"] or 0.0),
        }
        if waiting
        else None,
        blocked_by=tuple(dict.fromkeys(row["blocked_by"])),
        families=tuple(row["marks"]),
    )


_LITERALS = re.compile(
    r"""(?P<dollar>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))   # a dollar-quoted text, or its beginning
      | (?P<text>'(?:[^'\\]|''|\\.)*(?:'|\Z))               # a text, or its beginning
      | (?P<number>(?<![\w$])\d[\w.]*)                      # a number; not the 1 of $1
    """,
    re.VERBOSE | re.DOTALL,
)


def masked(statement: str) -> str:
    """A statement without its values: what an account holder is called is nobody's business here."""
    return " ".join(_LITERALS.sub("?", statement).split())
