"""The first tier: a bounded cache in the memory of the process."""

import itertools
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar

from ops.cache.metrics import Tally

V = TypeVar("V")
JITTER = 0.1
"""Times to live are up to this part shorter, so that what was stored together does not expire together."""


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    expires_at: float
    used: int


class _Shard(Generic[V]):
    __slots__ = ("entries", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: OrderedDict[str, _Entry[V]] = OrderedDict()


class LocalCache(Generic[V]):
    """At most `max_size` values, the least recently used of all shards going first; none older than `ttl` seconds.

    Each shard has a lock of its own and keeps its values in the order of their use. Every use draws a number, so the
    oldest value of all is the one with the lowest number among the shards' first ones. A new value takes a slot
    before it is stored: there are never more than `max_size`, at no moment. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        max_size: int,
        shards: int,
        ttl: float,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: float = JITTER,
    ) -> None:
        self.max_size = max_size
        self._ttl = ttl
        self._jitter = jitter
        self._clock = clock
        self._tally = tally
        self._shards: list[_Shard[V]] = [_Shard() for _ in range(shards)]
        self._uses = itertools.count()
        self._slots = threading.Lock()
        self._taken = 0

    def __len__(self) -> int:
        with ExitStack() as still:  # else a value that goes here while another comes there would be counted twice
            for shard in self._shards:
                still.enter_context(shard.lock)
            return sum(len(shard.entries) for shard in self._shards)

    def get(self, key: str) -> V | None:
        """The value, which is now the most recently used one; None where there is none."""
        shard = self._shard(key)
        expired = False
        with shard.lock:
            entry = shard.entries.get(key)
            if entry is not None and entry.expires_at <= self._clock():
                del shard.entries[key]
                entry, expired = None, True
            if entry is not None:
                entry.used = next(self._uses)
                shard.entries.move_to_end(key)
        if expired:
            self._give_slot_back()
        if self._tally:
            self._tally.count("expirations", int(expired))
            self._tally.count("hits" if entry else "misses")
        return entry.value if entry else None

    def put(self, key: str, value: V, *, unless: Callable[[V], bool] | None = None) -> bool:
        """Stores a value, unless `unless(the value that is there)`; returns whether it is stored."""
        stored = self._replace(key, value, unless)
        if stored is not None:
            return stored
        if not self._take_slot():
            return False
        shard = self._shard(key)
        with shard.lock:
            stored = self._replace_locked(shard, key, value, unless)
            if stored is None:
                shard.entries[key] = self._entry(value)
        if stored is not None:  # another thread was faster
            self._give_slot_back()
            return stored
        self._tell_size()
        return True

    def remove(self, key: str) -> bool:
        """Whether there was a value."""
        shard = self._shard(key)
        with shard.lock:
            found = shard.entries.pop(key, None)
        if found is not None:
            self._give_slot_back()
        return found is not None

    def clear(self) -> None:
        for shard in self._shards:
            with shard.lock:
                keys = list(shard.entries)
            for key in keys:
                self.remove(key)

    def peek(self, key: str) -> V | None:
        """The value, also one that has expired and was not asked for since; looking is neither a use nor a read."""
        shard = self._shard(key)
        with shard.lock:
            entry = shard.entries.get(key)
        return entry.value if entry else None

    def newest(self, limit: int) -> list[tuple[str, V]]:
        """Keys and values by their last use, the latest first; looking is not a use."""
        found: list[tuple[int, str, V]] = []
        for shard in self._shards:
            with shard.lock:
                last = itertools.islice(reversed(shard.entries.items()), limit)
                found += [(entry.used, key, entry.value) for key, entry in last]
        found.sort(key=lambda item: item[0], reverse=True)
        return [(key, value) for _, key, value in found[:limit]]

    def _shard(self, key: str) -> _Shard[V]:
        return self._shards[hash(key) % len(self._shards)]

    def _entry(self, value: V) -> _Entry[V]:
        life = self._ttl * (1 - self._jitter * random.random())  # noqa: S311
        return _Entry(value, self._clock() + life, next(self._uses))

    def _replace(self, key: str, value: V, unless: Callable[[V], bool] | None) -> bool | None:
        shard = self._shard(key)
        with shard.lock:
            return self._replace_locked(shard, key, value, unless)

    def _replace_locked(
        self, shard: _Shard[V], key: str, value: V, unless: Callable[[V], bool] | None
    ) -> bool | None:
        """None: there is nothing to replace."""
        there = shard.entries.get(key)
        if there is None:
            return None
        if unless is not None and unless(there.value):
            return False
        shard.entries[key] = self._entry(value)
        shard.entries.move_to_end(key)
        return True

    def _take_slot(self) -> bool:
        with self._slots:
            if self._taken < self.max_size:
                self._taken += 1
                return True
        return self._evict_oldest()  # its slot is ours

    def _give_slot_back(self) -> None:
        with self._slots:
            self._taken -= 1
        self._tell_size()

    def _evict_oldest(self) -> bool:
        """False where all slots are taken and none filled yet: then the newcomer is not kept."""
        heads = []
        for shard in self._shards:
            with shard.lock:
                if shard.entries:
                    heads.append((next(iter(shard.entries.values())).used, shard))
        for _, shard in sorted(heads, key=lambda head: head[0]):
            with shard.lock:
                if not shard.entries:
                    continue
                shard.entries.popitem(last=False)
            if self._tally:
                self._tally.count("evictions")
            return True
        return False

    def _tell_size(self) -> None:
        if self._tally:
            self._tally.size(self._taken)
