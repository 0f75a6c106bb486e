"""Which measured values of the health checks become metrics. Upper floors register theirs in `AppConfig.ready()`.

A value has one source: the same check that judges it for /health gives it to Prometheus.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Sample = tuple[tuple[str, ...], float | None]
"""Label values and the number; None: not known now, so no sample."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric whose samples are drawn from what a check measured. Counters are named without `_total`."""

    name: str
    help: str
    component: str
    samples: Callable[[Mapping[str, Any]], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


_measures: dict[str, Measure] = {}


def register_measures(measures: Iterable[Measure]) -> None:
    """
    Raises:
        ValueError: a name is taken.
    """
    for measure in measures:
        if measure.name in _measures:
            raise ValueError(f"metric {measure.name!r} is registered twice")
        _measures[measure.name] = measure


def registered_measures() -> list[Measure]:
    return list(_measures.values())


def value(path: str) -> Callable[[Mapping[str, Any]], list[Sample]]:
    """The one number at "l1.hits"; no sample where there is none."""

    def find(values: Mapping[str, Any]) -> list[Sample]:
        found: Any = values
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return [((), float(found))] if isinstance(found, (int, float)) else []

    return find


def each(path: str, label: str, number: str) -> Callable[[Mapping[str, Any]], list[Sample]]:
    """From a list of documents at `path`: one sample each, named by its `label`."""

    def find(values: Mapping[str, Any]) -> list[Sample]:
        return [((str(entry[label]),), entry[number]) for entry in values.get(path, ()) if entry[number] is not None]

    return find
