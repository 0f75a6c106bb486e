"""Counters of the tiers: for this process in `Tally`, for all processes as metrics."""

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import prometheus_client

from ops import board

Tier = Literal["l1", "l2"]
Happening = Literal["hits", "misses", "evictions", "expirations", "errors"]

WINDOW = 300
"""Seconds over which the rate of hits is taken."""
_LABELS = ["cache", "tier"]
COUNTERS: dict[Happening, prometheus_client.Counter] = {
    "hits": prometheus_client.Counter("cache_hits_total", "Documents found in the tier.", _LABELS),
    "misses": prometheus_client.Counter("cache_misses_total", "Documents not found in the tier.", _LABELS),
    "evictions": prometheus_client.Counter("cache_evictions_total", "Documents that made room for others.", _LABELS),
    "expirations": prometheus_client.Counter("cache_expirations_total", "Documents found too old.", _LABELS),
    "errors": prometheus_client.Counter("cache_errors_total", "Operations that the tier failed.", _LABELS),
}
OF_TIER: dict[Tier, tuple[Happening, ...]] = {
    "l1": ("hits", "misses", "evictions", "expirations"),
    "l2": ("hits", "misses", "errors"),
}
"""What a tier can tell; the evictions and expirations of Redis are Redis's own to tell."""
OUTDATED = prometheus_client.Counter(
    "cache_outdated_total", "Documents in memory that the source had changed meanwhile.", ["cache"]
)


_held: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class HitRate:
    """What the reads of one tier found in the last `WINDOW` seconds, in all processes of this machine."""

    hits: int
    misses: int
    evictions: int
    errors: int

    @property
    def rate(self) -> float | None:
        """Hits of reads, 0 to 1; None where nothing was read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None


def hit_rates() -> dict[Tier, HitRate]:
    """Of all caches together, by tier."""
    told = ("hits", "misses", "evictions", "errors")
    counts = board.totals([f"{tier}.{what}" for tier in OF_TIER for what in told], WINDOW)
    return {tier: HitRate(*(counts[f"{tier}.{what}"] for what in told)) for tier in OF_TIER}


def fact() -> dict[str, int]:
    """What this process tells the others: documents that it holds in memory."""
    return {"entries": sum(_held.values())}


def entries_by_process() -> dict[int, int]:
    """Documents in the memory of each process of this machine that has a cache, by process id."""
    return {
        seen.process["pid"]: seen.facts["cache"].get("entries", 0) for seen in board.boards() if "cache" in seen.facts
    }


class Tally:
    """What happened in one tier of one cache."""

    def __init__(self, cache: str, tier: Tier) -> None:
        self._cache, self._tier = cache, tier
        self._lock = threading.Lock()
        self._counts: Counter[Happening] = Counter()
        self._metrics = {name: COUNTERS[name].labels(cache, tier) for name in OF_TIER[tier]}

    def count(self, happening: Happening, number: int = 1) -> None:
        if number:
            with self._lock:
                self._counts[happening] += number
            self._metrics[happening].inc(number)
            board.count(f"{self._tier}.{happening}", number)

    def size(self, entries: int) -> None:
        """How many documents the tier holds now, in this process."""
        _held[self._cache] = entries

    def as_dict(self) -> dict[str, int]:
        """This process's counts since it started."""
        with self._lock:
            return {name: self._counts[name] for name in self._metrics}
