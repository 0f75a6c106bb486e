"""Which checks there are. Upper floors register theirs in `AppConfig.ready()`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from health_check.base import HealthCheck


@dataclass(frozen=True, slots=True)
class Registered:
    """`serving`: without it no request can be served, so that a failure also fails /health/ready."""

    check: HealthCheck
    serving: bool


_checks: dict[str, Registered] = {}


def register_check(name: str, check: HealthCheck, *, serving: bool = False) -> None:
    """Adds a check to /health. Its `timeout` bounds it; its `run` must be synchronous and runs in a thread.

    Raises:
        ValueError: the name is taken.
    """
    if name in _checks:
        raise ValueError(f"health check {name!r} is registered twice")
    _checks[name] = Registered(check, serving)


def registered_checks() -> Mapping[str, Registered]:
    return MappingProxyType(_checks)
