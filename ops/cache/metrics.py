"""Counters of the tiers: for this process in `Tally`, for all processes as metrics."""

import threading
from collections import Counter
from typing import Literal

import prometheus_client

Tier = Literal["l1", "l2"]
Happening = Literal["hits", "misses", "evictions", "expirations", "errors"]

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
ENTRIES = prometheus_client.Gauge(
    "cache_entries", "Documents held in the memory of the processes.", _LABELS, multiprocess_mode="livesum"
)
OUTDATED = prometheus_client.Counter(
    "cache_outdated_total", "Documents in memory that the source had changed meanwhile.", ["cache"]
)


class Tally:
    """What happened in one tier of one cache."""

    def __init__(self, cache: str, tier: Tier) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Happening] = Counter()
        self._metrics = {name: COUNTERS[name].labels(cache, tier) for name in OF_TIER[tier]}
        self._entries = ENTRIES.labels(cache, tier) if tier == "l1" else None

    def count(self, happening: Happening, number: int = 1) -> None:
        if number:
            with self._lock:
                self._counts[happening] += number
            self._metrics[happening].inc(number)

    def size(self, entries: int) -> None:
        if self._entries is not None:
            self._entries.set(entries)

    def as_dict(self) -> dict[str, int]:
        """This process's counts since it started."""
        with self._lock:
            return {name: self._counts[name] for name in self._metrics}
