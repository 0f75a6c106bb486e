"""Health of the books: what their last proof said, and how long ago that was; and holds that should have ended."""

from django.db import Error, connection

from ops.conf import get_settings
from ops.health.registry import register_check
from ops.health.report import Limit, Report, judge
from ops.metrics.registry import Measure, register_measures, value

MEASURES = (
    Measure("ledger_proof_age_seconds", "Age of the last proof of the books.", "ledger", value("proof_age_seconds")),
    Measure(
        "ledger_unproved_seconds",
        "Since the last proof, or since the bank was set up where there was none.",
        "ledger",
        value("unproved_seconds"),
    ),
    Measure("ledger_proof_max_age_seconds", "LEDGER_PROOF_MAX_AGE_HOURS.", "ledger", value("max_age_seconds")),
    Measure(
        "ledger_differences",
        "Differences that the last proof found, or the last one that was held against seals.",
        "ledger",
        value("differences"),
    ),
    Measure("ledger_proved_events", "Events that it proved.", "ledger", value("events")),
    Measure("holds_overdue", "Holds past their time; no more than 1000 are counted.", "holds", value("overdue")),
    Measure("holds_overdue_seconds", "For how long the oldest of them has been.", "holds", value("overdue_seconds")),
)
LAST_PROOF = """
    SELECT p.at, p.position, p.events, p.differences,
           greatest(p.differences, s.differences, jsonb_array_length(p.broken_seals)), p.seconds,
           extract(epoch FROM clock_timestamp() - coalesce(p.at, i.installed))::float
      FROM (SELECT min(applied) AS installed FROM django_migrations) i
      LEFT JOIN LATERAL (SELECT * FROM ledger_proofs ORDER BY id DESC LIMIT 1) p ON true
      LEFT JOIN LATERAL (SELECT * FROM ledger_proofs WHERE seals > 0 ORDER BY id DESC LIMIT 1) s ON true
"""


OVERDUE = """
    SELECT count(*), extract(epoch FROM clock_timestamp() - min(expires_at))::float
      FROM (SELECT expires_at FROM holds WHERE status = 'open' AND expires_at < clock_timestamp()
             ORDER BY expires_at LIMIT %s) overdue
"""
MOST_COUNTED = 1000
MOST_OVERDUE = 600
"""Seconds. Holds are given up every minute; one that was being locked then has its turn in the next."""


def register() -> None:
    register_check("ledger", check_ledger, asks="postgresql")
    register_check("holds", check_holds, asks="postgresql")
    register_measures(MEASURES)


def check_ledger() -> Report:
    """The last `verify_ledger` found no difference, and is not too old; a bank that is new has as much time for its
    first one. What was found against seals, no proof without those takes back: it cannot see it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(LAST_PROOF)
            at, position, events, in_last, differences, seconds, age = cursor.fetchone()
    except Error:
        return Report("unhealthy", "PostgreSQL, which knows, does not answer")
    max_age = get_settings().ledger_proof_max_age_hours * 3600
    values = {
        "differences": differences,
        "proof_age_seconds": round(age, 1) if at else None,
        "unproved_seconds": round(age, 1),
        "max_age_seconds": max_age,
        "proved_at": at.isoformat(timespec="seconds") if at else None,
        "position": position,
        "events": events,
        "took_seconds": seconds,
    }
    limits = (
        Limit(
            "differences",
            "the books do NOT agree"
            if in_last
            else "the books did NOT agree when they were last held against seals, which the last proof was not, or "
            "not against the same ones",
            unhealthy=0,
        ),
        Limit(
            "unproved_seconds",
            "the last proof of the books is too old" if at else "the books have never been proved",
            degraded=max_age,
        ),
    )
    return judge(values, limits, well="the books agree" if at else "new, and not proved yet")


def check_holds() -> Report:
    """Holds past their time are given up: what they reserve is their owners' to spend."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(OVERDUE, [MOST_COUNTED])
            overdue, seconds = cursor.fetchone()
    except Error:
        return Report("unhealthy", "PostgreSQL, which knows, does not answer")
    limit = Limit("overdue_seconds", "holds past their time are not given up", degraded=MOST_OVERDUE)
    values = {"overdue": overdue, "overdue_seconds": round(seconds or 0, 1)}
    return judge(values, [limit], well="no hold is left behind")
