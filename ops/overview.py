"""The overview's tiles and charts: is the bank well, since when not, and where to look.

A tile shows what the health check of its component says; it leads to the list that explains it. The page waits for
no component longer than PATIENCE: of one that hangs it shows what was known last, and that it has not answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from ops.access.permissions import VIEW_OPERATIONS
from ops.charts import StepChart, step_chart
from ops.health.registry import registered_checks
from ops.health.report import ORDER, worst
from ops.health.running import run_checks
from ops.html import when
from ops.trends import Trend, registered_trends, series

TONES = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}
SAID = {"healthy": "All is well.", "degraded": "Something needs a look.", "unhealthy": "Something is wrong."}
ROWS_SHOWN = 12
PATIENCE = 0.8
"""Seconds that the page waits for all components together."""
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    """`figure` says the most telling value in a few words, `note` what else has to be known with it; `url` is the
    name of the page that explains it."""

    component: str
    title: str
    figure: Callable[[Values], str]
    url: str
    permission: str = VIEW_OPERATIONS
    note: Callable[[Values], str] = lambda values: ""


_tiles: list[Tile] = []


def register_tiles(*tiles: Tile) -> None:
    """Adds to the overview, in order. Upper floors register theirs in `AppConfig.ready()`."""
    _tiles.extend(tile for tile in tiles if tile not in _tiles)


def state_of_the_bank(request: HttpRequest) -> dict[str, Any] | None:
    """What the live part shows; None for who may not see how the bank runs."""
    if not request.user.has_perm(VIEW_OPERATIONS):
        return None
    told = run_checks(registered_checks().values(), patience=PATIENCE)
    status = worst(entry["status"] for entry in told.values())
    silent = sorted(name for name, entry in told.items() if not entry.get("answered", True))
    return {
        "status": status,
        "tone": TONES[status],
        "said": SAID[status],
        "silent": silent,
        "checked_at": datetime.fromisoformat(max(entry["checked_at"] for entry in told.values())),
        "tiles": [_shown(tile, told[tile.component], request) for tile in _tiles],
        "reasons": [
            (name, entry["reason"])
            for name, entry in sorted(told.items(), key=lambda item: -ORDER.index(item[1]["status"]))
            if entry["status"] != "healthy"
        ],
        "charts": [chart for trend in registered_trends() if (chart := drawn(trend))],
    }


def _shown(tile: Tile, told: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    values = told["values"]
    return {
        "title": tile.title,
        "figure": tile.figure(values) if values else "not known",
        "note": tile.note(values) if values else "",
        "status": told["status"] if told.get("answered", True) else "no answer yet",
        "tone": TONES[told["status"]],
        "reason": told["reason"],
        "url": reverse(tile.url) if request.user.has_perm(tile.permission) else "",
    }


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart, its last figure with the unit, and the last of its figures, newest first."""

    trend: Trend
    chart: StepChart
    now: str
    rows: list[tuple[object, str]]


def drawn(trend: Trend) -> Drawn | None:
    """None while there is too little to draw."""
    points = series(trend)
    chart = step_chart([(at.timestamp(), float(value)) for at, value in points])
    if chart is None:
        return None
    rows: list[tuple[object, str]] = [
        (when(at), f"{float(value):,.4g}") for at, value in reversed(points[-ROWS_SHOWN:])
    ]
    return Drawn(trend, chart, _counted(rows[0][1], trend.unit), rows)


def _counted(figure: str, unit: str) -> str:
    """ "3 operations", "1 operation"."""
    return f"{figure} {unit.removesuffix('s') if figure == '1' else unit}"


@require_safe
def overview_state(request: HttpRequest) -> HttpResponse:
    """The live part anew, for the page that shows it."""
    state = state_of_the_bank(request)
    return JsonResponse({"ended": False, "live": render_to_string("ops/overview.html", {"state": state}, request)})
