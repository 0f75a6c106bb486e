"""What the page "Operations" shows, row by row: columns over the boards' and the detectors' own records."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.html import format_html, format_html_join

from ops.admin.lists import Column
from ops.html import NOTHING, badge, link, page_of, short_id, when

JOB = re.compile(r"job \d{1,18}", re.ASCII)
RESOURCES = 3
"""Named in a row; the count says how many there are."""


def where(process: dict[str, Any]) -> str:
    return f"{process['role']} {process['pid']}"


def seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} s"


def session(row: dict[str, Any]) -> object:
    """The PostgreSQL backend, and the way to end it for who may."""
    pid = row.get("database_pid") or row.get("pid")
    return ender(pid, row["ends"](pid)) if pid else NOTHING


def ender(pid: int, url: str) -> object:
    return format_html("{} {}", pid, link(url, "End")) if url else pid


def _resources(row: dict[str, Any]) -> object:
    named = [short_id(name) if len(name) == 36 else name for name in row["resources"][:RESOURCES]]
    more = row["resource_count"] - len(named)
    told = format_html_join(", ", "{}", ((name,) for name in named))
    return format_html("{} and {} more", told, more) if more else told or NOTHING


def _deadline(row: dict[str, Any]) -> object:
    if row["deadline"] is None:
        return "none"
    left = row["deadline"] - time.time()
    return badge(f"over by {-left:.1f} s", "bad") if left < 0 else f"in {left:.1f} s"


def _what_to_do(row: dict[str, Any]) -> object:
    """To stop what works with PostgreSQL now; a job is best cancelled on its own page, where it ends cleanly."""
    found = [link(page_of("ops.job", row["resources"][0].removeprefix("job ")), "Its job")] if _is_job(row) else []
    if row["database_pid"] and (url := row["ends"](row["id"])):
        found.append(link(url, "Stop"))
    return format_html_join(" ", "{}", ((part,) for part in found)) or NOTHING


def _is_job(row: dict[str, Any]) -> bool:
    return row["kind"] == "job" and bool(row["resources"]) and bool(JOB.fullmatch(row["resources"][0]))


IN_HAND = (
    Column("What", lambda row: f"{row['kind']} {row['name']}"),
    Column("Who", lambda row: row["actor"] or NOTHING),
    Column("On", _resources),
    Column("Step", lambda row: row["step"] or NOTHING),
    Column("For", lambda row: seconds(row["age"]), numeric=True),
    Column("Deadline", _deadline),
    Column("Process", lambda row: where(row["process"])),
    Column("Session", lambda row: row["database_pid"] or NOTHING),
    Column("Do", _what_to_do),
)

POOLS = (
    Column("Process", lambda row: where(row["process"])),
    Column(
        "In use",
        lambda row: badge(f"{row['in_use']} of {row['limit']}", "bad" if row["utilization"] > 0.8 else "good"),
    ),
    Column("Idle", lambda row: row["available"], numeric=True),
    Column("Waiting", lambda row: row["waiting"], numeric=True),
    Column("Size", lambda row: f"{row['size']} ({row['min']} to {row['max']})", numeric=True),
    Column("Went without", lambda row: row["errors"], numeric=True),
    Column(
        "Reset (UTC)", lambda row: when(datetime.fromtimestamp(row["reset_at"], UTC) if row["reset_at"] else None)
    ),
)

HELD = (
    Column("Process", lambda row: where(row["process"])),
    Column("Session", session),
    Column("For", lambda row: seconds(row["seconds"]), numeric=True),
    Column("Why that is wrong", lambda row: row["why"]),
    Column("Thread", lambda row: row["thread"]),
    Column(
        "Operation",
        lambda row: f"{row['operation']['kind']} {row['operation']['name']}" if row["operation"] else NOTHING,
    ),
    Column("Taken by", lambda row: _stack(row["stack"])),
)

TRANSACTIONS = (
    Column("Session", lambda row: session({**row["detail"]["session"], "ends": row["ends"]})),
    Column("Program", lambda row: row["detail"]["session"]["application"] or row["detail"]["session"]["role"]),
    Column("Reason", lambda row: row["reason"]),
    Column("For", lambda row: seconds(row["measured"]), numeric=True),
    Column("At most", lambda row: seconds(row["threshold"]), numeric=True),
    Column("Statement", lambda row: row["detail"]["session"]["statement"][:120] or NOTHING),
)


def _stack(lines: Sequence[str]) -> object:
    return format_html(
        '<details><summary>{}</summary><pre class="b-json" tabindex="0">{}</pre></details>',
        lines[0] if lines else NOTHING,
        "\n".join(lines),
    )


@dataclass(slots=True)
class Branch:
    """A session, and those that wait for it."""

    session: object
    told: str
    statement: str
    own: bool
    behind: list["Branch"] = field(default_factory=list)


def tree(entries: Sequence[dict[str, Any]], ends: Callable[[int], str]) -> list[Branch]:
    """Who blocks whom, from the sessions that wait for nobody down; each once, so that a circle has an end."""
    by_pid = {entry["pid"]: entry for entry in entries}
    seen: set[int] = set()

    def branch(entry: dict[str, Any]) -> Branch:
        seen.add(entry["pid"])
        grown = Branch(
            session=ender(entry["pid"], ends(entry["pid"]) if entry["own"] else ""),
            told=_told(entry),
            statement=entry["statement"][:120],
            own=entry["own"],
        )
        for pid in entry["blocks"]:
            if pid in by_pid and pid not in seen:
                grown.behind.append(branch(by_pid[pid]))
        return grown

    roots = [entry for entry in entries if not set(entry["blocked_by"]) & by_pid.keys()]
    return [branch(entry) for entry in [*roots, *entries] if entry["pid"] not in seen]


def _told(entry: dict[str, Any]) -> str:
    parts = [entry["application"] or entry["role"], *(f"{op['kind']} {op['name']}" for op in entry["operations"])]
    if waiting := entry["waiting_for"]:
        parts.append(f"waits {waiting['seconds']:.1f} s for {waiting['relation'] or waiting['locktype']}")
    else:
        parts.append(entry["state"] or "state not known")
    if entry["transaction_seconds"] is not None:
        parts.append(f"in a transaction of {entry['transaction_seconds']:.1f} s")
    return ", ".join(parts)
