"""The page "Breakers and timeouts": what is left alone after failing, how many calls run out of time, and by which
limits; lost races beside them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from ops import board
from ops.access.permissions import VIEW_OPERATIONS
from ops.admin.incidents import lasted, state_badge
from ops.admin.lists import Column
from ops.admin.readonly import ReadOnlyAdmin
from ops.config.effective import effective_settings, timeouts
from ops.detectors import deadlocks
from ops.health.timeouts import LIMITS, timeout_values
from ops.html import NOTHING, at_unix, badge, link, page_of, when
from ops.models import BreakersAccess, Incident

SHOWN = 100
INCIDENTS_SHOWN = 10
KIND = "deadlocks"
TONES = {"closed": "good", "half_open": "warn", "open": "bad"}
SAID = {"closed": "Closed: calls pass", "half_open": "Half open: being tried", "open": "Open: left alone"}
GUARDS = {
    "redis": "Redis, as the cache uses it. While it is open, reads come from PostgreSQL.",
    "database": "PostgreSQL. While it is open, callers are told at once that the bank is out of reach.",
    "detectors": "The detectors' own look into PostgreSQL. While it is open, they see the boards alone.",
}
STATES = ("open", "half_open", "closed")


def _source(entry: dict[str, Any]) -> object:
    return badge("set", "warn") if entry["source"] == "environment" else "default"


def _default(entry: dict[str, Any]) -> str:
    """In seconds, as the value in force is."""
    if entry["default"] is None:
        return NOTHING
    return f"{entry['default'] / 1000 if entry['name'].endswith('_MS') else entry['default']:g} s"


def _rate(entry: dict[str, Any]) -> object:
    """Timeouts of attempts, marked by the limits by which health judges it."""
    rate = entry["timeout_rate"]
    if rate is None:
        return NOTHING
    [limit] = [limit for limit in LIMITS if limit.value == "timeout_rate"]
    tone = "bad" if rate > (limit.unhealthy or 1) else "warn" if rate > (limit.degraded or 1) else "good"
    return badge(f"{rate:.1%}", tone)


BREAKERS = (
    Column("Guards", lambda row: row["name"]),
    Column("Process", lambda row: row["process"]),
    Column("State", lambda row: badge(SAID[row["state"]], TONES[row["state"]])),
    Column("Since (UTC)", lambda row: at_unix(row["since"])),
    Column(
        "Failures in the window",
        lambda row: f"{row['failures']} in {row['window']:g} s, opens at {row['opens_at']}",
        numeric=True,
    ),
    Column("Tries again after", lambda row: f"{row['pause']:g} s", numeric=True),
    Column("Opened", lambda row: row["opened"], numeric=True),
)
COMPONENTS = (
    Column("Component", lambda row: row["component"].capitalize()),
    Column("Calls", lambda row: f"{row['attempts']:,}", numeric=True),
    Column("Timed out", lambda row: f"{row['timeouts']:,}", numeric=True),
    Column("Failed", lambda row: f"{row['errors']:,}", numeric=True),
    Column("Timeouts of calls", _rate, numeric=True),
    Column("Limit", lambda row: f"{row['limit_seconds']} s", numeric=True),
    Column("Setting", lambda row: row["setting"]),
    Column("From", _source),
)
SETTINGS = (
    Column("Setting", lambda row: row["name"]),
    Column("In force", lambda row: f"{row['seconds']:g} s", numeric=True),
    Column("Default", _default, numeric=True),
    Column("From", _source),
    Column("What it bounds", lambda row: row["description"]),
)
INCIDENTS = (
    Column("Began (UTC)", lambda row: link(page_of("ops.incident", row.pk), when(row.began_at))),
    Column("State", state_badge),
    Column("What", lambda row: row.reason),
    Column("Lasted", lasted, numeric=True),
)


@admin.register(BreakersAccess)
class BreakersAdmin(ReadOnlyAdmin):
    """One page, of no table: it asks the boards of the processes."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(VIEW_OPERATIONS))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="ops_breakersaccess_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        breakers, lost = breaker_rows(), deadlocks()
        sources = {entry["name"]: entry["source"] for entry in effective_settings()}
        values = timeout_values()
        components = [
            {"component": name, **entry, "source": sources[entry["setting"]]}
            for name, entry in values["components"].items()
        ]
        context = {
            "title": "Breakers and timeouts",
            "at": timezone.now(),
            "open": sum(row["state"] != "closed" for row in breakers),
            "guards": GUARDS,
            "breakers": _table(BREAKERS, breakers),
            "components": _table(COMPONENTS, components),
            "window": values["window_seconds"],
            "settings": _table(
                SETTINGS, [entry for entry in timeouts() if isinstance(entry["seconds"], int | float)]
            ),
            "lost": _lost(lost),
            "incidents": self._incidents(request),
            "kind": KIND,
        }
        return self.render(request, "ops/breakers.html", context)

    def _incidents(self, request: HttpRequest) -> dict[str, Any] | None:
        """The last deadlocks on record; None for who may not see incidents."""
        if not request.user.has_perm("ops.view_incident"):
            return None
        found = Incident.objects.filter(kind=KIND).defer("detail").order_by("-id")
        return _table(INCIDENTS, list(found[:INCIDENTS_SHOWN]))


def breaker_rows() -> list[dict[str, Any]]:
    """Every breaker of every process of this machine, those that are open first."""
    rows = [
        {**told, "process": f"{seen.process['role']} {seen.process['pid']}"}
        for seen in board.boards()
        for told in seen.facts.get("breaker_details", {}).get("breakers", ())
    ]
    return sorted(rows, key=lambda row: (STATES.index(row["state"]), row["name"], row["process"]))


def _lost(found: dict[str, Any]) -> list[tuple[str, object]]:
    ever = found["deadlocks_ever"]
    return [
        ("Deadlocks", found["deadlock_count"]),
        ("Lock timeouts", found["lock_timeouts"]),
        ("Serialization failures", found["serialization_failures"]),
        ("Version conflicts", found["version_conflicts"]),
        ("Deadlocks ever, as PostgreSQL counts", NOTHING if ever is None else ever),
        ("Counted over", f"{found['window_seconds']} s"),
    ]


def _table(columns: Sequence[Column], rows: Sequence[Any]) -> dict[str, Any]:
    shown = rows[:SHOWN]
    return {
        "headings": columns,
        "count": len(rows),
        "rows": [[(column, column.cell(row)) for column in columns] for row in shown],
    }
