"""Which keys are used most: counted in each process, gathered in a bounded sorted set in Redis."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import redis

from ops.cache.shared import SharedCache

T = TypeVar("T")

FLUSH_EVERY = 5.0
"""Seconds between two deliveries of a process that is read from."""
MOST_KEYS = 500
"""Keys counted between two deliveries; at that number it delivers at once."""
KEPT_FOR = 7 * 24 * 3600
"""Seconds after which the counts of a bank that nobody reads are gone."""


class Popularity(Generic[T]):
    """Counts uses of keys, at most `most` of them; all best effort: while Redis fails, counts are lost."""

    def __init__(self, shared: SharedCache[T], *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._most = most
        self._clock = clock
        self._name = f"{shared.name}-uses"
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._flushed_at = clock()

    def note(self, key: str) -> None:
        """One use of `key`."""
        with self._lock:
            self._counts[key] += 1
            due = len(self._counts) >= MOST_KEYS or self._clock() - self._flushed_at >= FLUSH_EVERY
        if due:
            self.flush()

    def flush(self) -> None:
        """Delivers what was counted."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._flushed_at = self._clock()
        if not counts:
            return

        def deliver(client: redis.Redis) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for key, count in counts.items():
                pipe.zincrby(self._name, count, key)
            pipe.zremrangebyrank(self._name, 0, -self._most - 1)
            pipe.expire(self._name, KEPT_FOR)
            return pipe.execute()

        self._shared.attempt(deliver)

    def most_used(self, limit: int) -> list[str]:
        """The keys most used, the most used first; empty where Redis does not answer."""
        return [key for key, _ in self.uses(limit)]

    def uses(self, limit: int) -> list[tuple[str, float]]:
        """The same, with how often each was used (halved at each warm-up)."""
        if limit < 1:
            return []
        raw: Any = self._shared.attempt(lambda client: client.zrevrange(self._name, 0, limit - 1, withscores=True))
        return [(key.decode(), float(score)) for key, score in raw or ()]

    def fade(self) -> None:
        """Halves all counts, so that what was used yesterday gives way to what is used today."""

        def halve(client: redis.Redis) -> list[Any]:
            pipe = client.pipeline(transaction=True)
            pipe.zunionstore(self._name, {self._name: 0.5})
            pipe.zremrangebyscore(self._name, "-inf", 0.1)
            pipe.expire(self._name, KEPT_FOR)
            return pipe.execute()

        self._shared.attempt(halve)

    def forget(self, key: str) -> None:
        """Takes a key out that turned out not to exist."""
        self._shared.attempt(lambda client: client.zrem(self._name, key))
