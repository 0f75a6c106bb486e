"""Which figures are sampled, and which of them are drawn. Upper floors register theirs in `AppConfig.ready()`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

Source = Callable[[], Mapping[str, int | Decimal]]
"""Figures by name; it may raise `django.db.Error`, and is then left out of this sample."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A figure that a health check measures: sampled, and drawn on the overview.

    `per_minute`: it only counts up, and what is drawn is its gain in each minute.
    """

    name: str
    title: str
    unit: str
    component: str
    value: str
    per_minute: bool = False


_trends: dict[str, Trend] = {}
_sources: list[Source] = []


def register_trend(trend: Trend) -> None:
    """
    Raises:
        ValueError: the name is taken.
    """
    if trend.name in _trends:
        raise ValueError(f"trend {trend.name!r} is registered twice")
    _trends[trend.name] = trend


def registered_trends() -> list[Trend]:
    return list(_trends.values())


def register_source(source: Source) -> None:
    """Adds figures that no health check measures."""
    if source not in _sources:
        _sources.append(source)


def sources() -> list[Source]:
    return list(_sources)
