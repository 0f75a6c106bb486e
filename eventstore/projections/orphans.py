"""Rows of read models that no event accounts for: removed some thousands at a time, so that a table of any size is
gone through without a long statement.

The engine leaves none; something outside of bankes has made them, or has removed what they followed from. So this
runs when a person asks for it, never by the clock: such a row is first of all a thing to look at.
"""

from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import connection

from eventstore.projections.base import Inline, Orphans, Projection, all_read_models
from ops.debug.cleanup import ENOUGH
from ops.timeouts import time_left

log = structlog.get_logger(__name__)

WINDOW = 10_000
KEYS_SHOWN = 20


@dataclass(slots=True)
class Removed:
    """Rows removed (or to be removed) by table, and the tables that were not gone through to the end in the time."""

    rows: dict[str, int] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)


def remove(*, dry_run: bool) -> Removed:
    """Goes through the tables of all read models, within the time that `ops.timeouts.within` leaves."""
    result = Removed()
    for read_model in all_read_models():
        done = remove_from(read_model, dry_run=dry_run)
        result.rows |= done.rows
        result.unfinished += done.unfinished
    return result


def remove_from(read_model: Projection[Any] | Inline, *, dry_run: bool) -> Removed:
    """As `remove`, for one read model."""
    result = Removed()
    for orphans in read_model.orphans():
        keys, finished = _go_through(orphans, dry_run)
        result.rows[orphans.table] = len(keys)
        if not finished:
            result.unfinished.append(orphans.table)
        if keys and not dry_run:
            log.warning("orphaned_rows_removed", table=orphans.table, rows=len(keys), keys=keys[:KEYS_SHOWN])
    return result


def _go_through(orphans: Orphans, dry_run: bool) -> tuple[list[str], bool]:
    """The keys of what was found, and whether the end was reached."""
    found: list[str] = []
    last: Any = None
    with connection.cursor() as cursor:
        while time_left(ENOUGH) >= ENOUGH:
            end = _end_of_window(cursor, orphans, last)
            where, params = _between(orphans.key, last, end)
            act = "SELECT {0}::text FROM {1} t WHERE" if dry_run else "DELETE FROM {1} t WHERE"
            tail = "" if dry_run else f" RETURNING t.{orphans.key}::text"
            act = act.format(f"t.{orphans.key}", orphans.table)
            cursor.execute(f"{act} {where} AND {orphans.where}{tail}", params)
            found += [key for (key,) in cursor.fetchall()]
            if end is None:
                return found, True
            last = end
    return found, False


def _end_of_window(cursor: Any, orphans: Orphans, last: Any) -> Any:
    """The key of the window's last row; None where the table ends before."""
    where, params = _between(orphans.key, last, None)
    cursor.execute(
        f"SELECT t.{orphans.key} FROM {orphans.table} t WHERE {where} ORDER BY t.{orphans.key} OFFSET %s LIMIT 1",
        [*params, WINDOW - 1],
    )
    row = cursor.fetchone()
    return row[0] if row else None


def _between(key: str, after: Any, upto: Any) -> tuple[str, list[Any]]:
    conditions = {f"t.{key} > %s": after, f"t.{key} <= %s": upto}
    given = {condition: value for condition, value in conditions.items() if value is not None}
    return " AND ".join(given) or "true", list(given.values())
