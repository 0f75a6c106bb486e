"""The two tiers and the source of truth, put together. The argument for its correctness is in `ops.cache`."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ops.cache.documents import Document
from ops.cache.flights import Flights
from ops.cache.local import LocalCache
from ops.cache.metrics import OUTDATED, Tally
from ops.cache.shared import SharedCache

T = TypeVar("T")

Load = Callable[[str, Document[T] | None], Document[T] | None]
"""load(key, known): the document at its version now, `known` itself if that is still the one, None if there is none.
It reads committed data only, from the one place that decides, after it was called."""

LoadMany = Callable[[Mapping[str, Document[T] | None]], dict[str, Document[T]]]
"""As `Load`, of several keys in one question, each with what is known of it; those that there are."""

TRUSTED_FOR = 1.0
"""Seconds for which a document in memory may answer `get_at_least` without another look at anything."""
ABSENT_FOR = 5.0
ABSENT_MOST = 1000
"""For how long (seconds), and of how many keys, it is remembered that the source knows them not."""
LONGEST_WAIT = 1.0
"""Seconds to wait for another thread's load."""


@dataclass(slots=True)
class _Held(Generic[T]):
    document: Document[T]
    checked_at: float
    """When somebody who knows was last asked, on this process's clock: the moment before the question."""


class TieredCache(Generic[T]):
    """Documents by key: memory, then Redis, then the source. Safe to share between threads."""

    def __init__(
        self,
        name: str,
        *,
        load: Load[T],
        load_many: LoadMany[T],
        shared: SharedCache[T],
        max_size: int,
        shards: int,
        ttl: float,
        operation_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.shared = shared
        self.tally = Tally(name, "l1")
        self._load = load
        self._load_many = load_many
        self._clock = clock
        self._local: LocalCache[_Held[T]] = LocalCache(max_size=max_size, shards=shards, ttl=ttl, tally=self.tally)
        self._absent: LocalCache[bool] = LocalCache(max_size=ABSENT_MOST, shards=1, ttl=ABSENT_FOR)
        self._flights: Flights[Document[T] | None] = Flights(wait=min(LONGEST_WAIT, operation_timeout))

    def get(self, key: str) -> Document[T] | None:
        """The document as it is now: no older than any that was acknowledged or seen, anywhere, before this call.

        Asks the source, once for all threads that ask at the same time, and not Redis: it neither waits for Redis nor
        fills it, which would cost more than the lookup. Raises what the source raises.
        """
        return self._flights.run(key, lambda: self._confirm(key))

    def get_many(self, keys: Collection[str]) -> dict[str, Document[T]]:
        """As `get`, of several keys in one question to the source; those that there are."""
        held = {key: self._local.get(key) for key in keys}
        began = self._clock()
        found = self._load_many({key: there.document if there else None for key, there in held.items()})
        for key, there in held.items():
            self._learn(key, there, found.get(key), began)
        return found

    def get_at_least(self, key: str, version: int) -> Document[T] | None:
        """The document at `version`, which the caller knows of, or at a later one: a caller that states what it has
        seen is not shown the past of that, and costs the source nothing where a tier has it.

        What others did after that version may be missing for as long as nobody has told Redis: see `ops.cache`.
        """
        held = self._local.get(key)
        if held and held.document.version >= version and self._clock() - held.checked_at <= TRUSTED_FOR:
            return held.document
        if self._absent.get(key) is None:
            began = self._clock()
            known = held.document if held else None
            hinted = self.shared.newest(key, version, known)
            if hinted is not None and (known is None or hinted.version >= known.version):
                self._keep(key, hinted, began)
                return hinted
        found = self.get(key)
        if found is not None:
            self.shared.put_many({key: found})
        return found

    def store(self, documents: Mapping[str, Document[T]]) -> int:
        """Offers documents, just loaded from the source, to all processes; returns how many Redis took."""
        return self.shared.put_many(documents)

    def evict(self, key: str) -> bool:
        """Forgets a key in Redis and in this process; whether it was held. (Other processes confirm theirs.)"""
        self._absent.remove(key)
        held = self._local.remove(key)
        return self.shared.evict(key) or held

    def clear_local(self) -> None:
        """Forgets all that this process holds."""
        self._local.clear()
        self._absent.clear()

    def peek(self, key: str) -> tuple[Document[T], float] | None:
        """What this process holds of a key, and how many seconds ago that was last known to be the newest; looking is
        neither a use nor a read."""
        held = self._local.peek(key)
        return (held.document, self._clock() - held.checked_at) if held else None

    def held_here(self, limit: int) -> list[str]:
        """Keys that this process holds, last used first."""
        return [key for key, _ in self._local.newest(limit)]

    def browse(self, limit: int) -> dict[str, list[dict[str, Any]]]:
        """What is held: {"l1": this process's, last used first, "l2": some of Redis's}."""
        now = self._clock()
        local = [
            {"key": key, "version": held.document.version, "checked_seconds_ago": round(now - held.checked_at, 3)}
            for key, held in self._local.newest(limit)
        ]
        return {"l1": local, "l2": self.shared.browse(limit)}

    def stats(self) -> dict[str, dict[str, Any]]:
        """{"l1": this process's counts and size, "l2": its counts, the breaker and what Redis says of itself}."""
        local = {**self.tally.as_dict(), "size": len(self._local), "max_size": self._local.max_size}
        return {"l1": local, "l2": self.shared.stats()}

    def _confirm(self, key: str) -> Document[T] | None:
        held = self._local.get(key)
        began = self._clock()
        found = self._load(key, held.document if held else None)
        self._learn(key, held, found, began)
        return found

    def _learn(self, key: str, held: _Held[T] | None, found: Document[T] | None, began: float) -> None:
        """Takes in what the source has said, to a question asked at `began`, of a key that was held like this."""
        known = held.document if held else None
        if found is None:
            self._local.remove(key)
            self._absent.put(key, True)
            return
        if held is not None and found is known:
            held.checked_at = max(held.checked_at, began)
            return
        if known is not None and known.version != found.version:
            OUTDATED.labels(self.name).inc()
        self._absent.remove(key)
        if known is not None and found.version < known.version:
            self.evict(key)  # the source was put back to an earlier state: what it forgot must be forgotten
        self._keep(key, found, began)

    def _keep(self, key: str, document: Document[T], checked_at: float) -> None:
        self._local.put(
            key, _Held(document, checked_at), unless=lambda there: there.document.version > document.version
        )
