"""The ground floor's tiles of the overview."""

from typing import Any

from ops.overview import Tile, Values, register_tiles

OPERATIONS = "admin:ops_operationsaccess_changelist"
INCIDENTS = "admin:ops_incident_changelist"
BREAKERS = "admin:ops_breakersaccess_changelist"
CACHE = "admin:ops_cacheaccess_changelist"


def _incidents(values: Values) -> str:
    return str(values["open_incidents"]) if "open_incidents" in values else "nobody looks"


def _of(values: Values, name: str, unit: str) -> str:
    value: Any = values.get(name)
    return "not known" if value is None else f"{value} {unit}"


def _share(rate: float | None, what: str) -> str:
    return "few calls yet" if rate is None else f"{rate:.0%} {what}"


register_tiles(
    Tile("operations", "Stuck operations", lambda values: f"{values['stuck']} of {values['in_hand']}", OPERATIONS),
    Tile("monitor", "Open incidents", _incidents, INCIDENTS, "ops.view_incident"),
    Tile("deadlocks", "Waiting for locks", lambda values: _of(values, "waiting_sessions", "sessions"), OPERATIONS),
    Tile("pool", "Connection pools", lambda values: f"{values['in_use']} of {values['max']} in use", OPERATIONS),
    Tile("timeouts", "Timeouts", lambda values: _share(values["timeout_rate"], "of calls"), BREAKERS),
    Tile("cache", "Cache", lambda values: _share(values["hit_rate"], "hits"), CACHE),
    Tile("redis", "Redis", lambda values: _of(values, "latency_ms", "ms"), CACHE),
    Tile("database", "PostgreSQL", lambda values: _of(values, "latency_ms", "ms"), OPERATIONS),
)
