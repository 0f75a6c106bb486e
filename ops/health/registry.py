"""Which checks there are. Upper floors register theirs in `AppConfig.ready()`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ops.health.report import Report
from ops.health.running import Watched

_checks: dict[str, Watched] = {}


def register_check(name: str, check: Callable[[], Report], *, serving: bool = False) -> None:
    """Adds a component to /health. `check` runs in a thread of its own, at most once at a time.

    `serving`: without the component no request can be served, so that its failure also fails /health/ready.

    Raises:
        ValueError: the name is taken.
    """
    if name in _checks:
        raise ValueError(f"health check {name!r} is registered twice")
    _checks[name] = Watched(name, check, serving)


def registered_checks() -> Mapping[str, Watched]:
    return MappingProxyType(_checks)
