"""Which checks there are. Upper floors register theirs in `AppConfig.ready()`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ops.health.report import Report
from ops.health.running import Lane, Watched

_checks: dict[str, Watched] = {}
_lanes: dict[str, Lane] = {}


def register_check(name: str, check: Callable[[], Report], *, asks: str | None = None, serving: bool = False) -> None:
    """Adds a component to /health.

    `asks`: what the check waits for ("postgresql", "boards"). Checks that ask the same run one after another in one
    thread; without it a check has a thread of its own.
    `serving`: without the component no request can be served, so that its failure also fails /health/ready.

    Raises:
        ValueError: the name is taken.
    """
    if name in _checks:
        raise ValueError(f"health check {name!r} is registered twice")
    lane = _lanes.setdefault(asks or name, Lane(asks or name))
    _checks[name] = Watched(name, check, serving, lane)


def registered_checks() -> Mapping[str, Watched]:
    return MappingProxyType(_checks)
