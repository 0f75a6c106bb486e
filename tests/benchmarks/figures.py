"""What one contender did in one round."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Of one transfer or read: microseconds of processor time of PostgreSQL and of the web server, and how many
    commands shared a transaction; None where it is not known or there is no such thing."""

    postgres: float | None = None
    web: float | None = None
    batch: float | None = None


@dataclass(frozen=True)
class Figure:
    """`rate` is transfers (or reads) a second; p50 and p99 are milliseconds of one request; `errors` are requests
    that were not answered with 2xx, and `wrong` what the books said afterwards."""

    rate: float
    p50: float | None = None
    p99: float | None = None
    errors: int = 0
    wrong: tuple[str, ...] = ()
    costs: Costs = Costs()


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
