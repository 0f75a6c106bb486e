"""The second tier: Redis, shared by all processes.

    <name>:{key}:v{version}    a document, as JSON with its schema
    <name>:{key}               the highest version that somebody has stored: a hint, which only rises

Every operation is best effort. While Redis fails, reads find nothing and writes do nothing: no error reaches the
caller, the circuit breaker sees to it that none waits either, and `errors` counts them.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import redis
import structlog

from ops.breaker import CircuitBreaker, CircuitOpen
from ops.cache.documents import Codec, Document, Unreadable
from ops.cache.metrics import Tally
from ops.timeouts import attempt

T = TypeVar("T")
R = TypeVar("R")
log = structlog.get_logger(__name__)

OUTAGES = (redis.ConnectionError, redis.TimeoutError, OSError)
"""Redis cannot be reached, hangs, or is still loading. Any other answer, also an error, is an answer."""
JITTER = 0.1
PIPELINE = 50

# Stores a document; then raises the pointer to it, never lowers it. Sent whole, not by its hash: a Redis that
# was restarted has forgotten its scripts.
STORE = """
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' and (tonumber(there) or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return 1
"""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What Redis holds of a key. `version` is the pointer's; the document is the one that it names. Lives are seconds
    that are left; `size` is bytes; `error` says why what is there is of no use."""

    key: str
    version: int | None
    pointer_life: float | None
    document: Document[T] | None
    document_life: float | None
    size: int | None
    error: str


class SharedCache(Generic[T]):
    """Documents of one kind in Redis. `ttl` and `hint_ttl` (of the pointers) are seconds."""

    def __init__(
        self,
        name: str,
        *,
        codec: Codec[T],
        client: Callable[[], redis.Redis],
        breaker: CircuitBreaker,
        ttl: float,
        hint_ttl: float,
        operation_timeout: float,
        tally: Tally,
    ) -> None:
        self.name = name
        self.breaker = breaker
        self.tally = tally
        self._codec = codec
        self._client = client
        self._ttl = ttl
        self._hint_ttl = hint_ttl
        self._operation_timeout = operation_timeout

    def newest(self, key: str, at_least: int, known: Document[T] | None = None) -> Document[T] | None:
        """The document that the pointer names, if it is at that version or above; `known` where that is the one.

        One round trip where the pointer stands at `at_least` or at `known`, else two.
        """
        raws = self._get(self._pointer(key), self._place(key, at_least))
        version = self._pointed_at(key, raws[0])
        if version is None or version < at_least:
            self.tally.count("misses")
            return None
        if known is not None and known.version == version:
            self.tally.count("hits")
            return known
        if version != at_least:
            raws = self._get(self._place(key, version))
        return self._read(key, version, raws[-1])

    def put_many(self, documents: Mapping[str, Document[T]]) -> int:
        """Stores documents in pipelines of `PIPELINE`; returns how many were stored before Redis or time ran out."""
        stored = 0
        for some in self._batches(list(documents)):
            answers = self._pipeline(partial(self._store_all, {key: documents[key] for key in some}))
            if answers is None:
                break
            stored += sum(not isinstance(answer, Exception) for answer in answers)
        return stored

    def evict(self, key: str) -> bool:
        """Removes the pointer, and the document that it names; whether there was one."""
        version = _version(self._get(self._pointer(key))[0])
        return bool(self._remove(self._pointer(key), self._place(key, version or 0)))

    def browse(self, limit: int) -> list[dict[str, Any]]:
        """At most `limit` of the pointers, in no order: {"key", "version", "seconds_left"}."""
        keys = self.some_keys(limit, within=self._operation_timeout)
        versions = self._get(*map(self._pointer, keys))
        lives = self._pipeline(lambda pipe: [pipe.ttl(self._pointer(key)) for key in keys]) or ()
        return [
            {"key": key, "version": _version(raw), "seconds_left": life}
            for key, raw, life in zip(keys, versions, lives, strict=False)
        ]

    def some_keys(self, limit: int, *, within: float) -> list[str]:
        """At most `limit` keys that have a pointer, in no order, as far as they are found in so many seconds."""
        return self.attempt(partial(self._some_keys, limit, within)) or []

    def look(self, keys: Sequence[str]) -> list[Look[T]] | None:
        """What is held of each key, for people: nothing is counted as a read, and nothing removed. None where Redis
        does not answer. Two round trips."""
        pointers = self._pipeline(
            lambda pipe: [(pipe.get(self._pointer(key)), pipe.pttl(self._pointer(key))) for key in keys]
        )
        if pointers is None:
            return None
        versions = [_version(raw) for raw in pointers[::2]]
        places = [self._place(key, version or 0) for key, version in zip(keys, versions, strict=True)]
        documents = self._pipeline(lambda pipe: [(pipe.get(place), pipe.pttl(place)) for place in places])
        if documents is None:
            return None
        return [
            self._looked(key, raw, version, *documents[2 * at : 2 * at + 2], life=pointers[2 * at + 1])
            for at, (key, raw, version) in enumerate(zip(keys, pointers[::2], versions, strict=True))
        ]

    def _looked(
        self, key: str, pointer: object, version: int | None, raw: object, document_life: object, *, life: object
    ) -> Look[T]:
        document, error = None, ""
        if isinstance(pointer, bytes) and version is None:
            error = "the pointer names no version"
        elif version is not None and isinstance(raw, bytes):
            try:
                document = self._codec.decode(key, version, raw)
            except Unreadable as unreadable:
                error = str(unreadable)
        size = len(raw) if isinstance(raw, bytes) else None
        return Look(key, version, _seconds(life), document, _seconds(document_life), size, error)

    def stats(self) -> dict[str, Any]:
        """This process's counts, the breaker, and what Redis says of itself (None where it does not answer)."""
        answers = self._pipeline(lambda pipe: [pipe.dbsize(), pipe.info("memory"), pipe.info("stats")])
        size, memory, stats = answers if answers else (None, {}, {})
        return self.tally.as_dict() | {
            "breaker": self.breaker.state.name.lower(),
            "size": size,
            "memory_bytes": memory.get("used_memory"),
            "max_memory_bytes": memory.get("maxmemory") or None,
            "evictions": stats.get("evicted_keys"),
            "expirations": stats.get("expired_keys"),
        }

    def attempt(self, action: Callable[[redis.Redis], R]) -> R | None:
        """The result of `action`, or None where Redis fails."""
        try:
            return self.breaker.call(partial(self._exchange, action))
        except CircuitOpen:
            pass
        except (redis.RedisError, OSError) as error:
            self.tally.count("errors")
            log.debug("shared_cache_failed", cache=self.name, error=repr(error))
        return None

    def _exchange(self, action: Callable[[redis.Redis], R]) -> R:
        with attempt("cache"), attempt("redis"):
            return action(self._client())

    def _pipeline(self, fill: Callable[[Any], object]) -> list[Any] | None:
        """The answers to what `fill` puts into a pipeline, errors of single commands among them; None on failure."""

        def send(client: redis.Redis) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            fill(pipe)
            return pipe.execute(raise_on_error=False)

        answers = self.attempt(send)
        self.tally.count("errors", sum(isinstance(answer, Exception) for answer in answers or ()))
        return answers

    def _get(self, *names: str) -> list[Any]:
        """What Redis holds under each name; None for each where it fails."""
        answers = self._pipeline(lambda pipe: [pipe.get(name) for name in names]) if names else []
        return [None] * len(names) if answers is None else answers

    def _remove(self, *names: str) -> int:
        """How many there were."""
        answers = self._pipeline(lambda pipe: pipe.delete(*names))
        return answers[0] if answers and isinstance(answers[0], int) else 0

    def _batches(self, items: Sequence[str]) -> Iterator[Sequence[str]]:
        """Of `PIPELINE` each, until the time of one operation is up."""
        deadline = time.monotonic() + self._operation_timeout
        for start in range(0, len(items), PIPELINE):
            if time.monotonic() > deadline:
                return
            yield items[start : start + PIPELINE]

    def _some_keys(self, limit: int, within: float, client: redis.Redis) -> list[str]:
        prefix = f"{self.name}:"
        keys: list[str] = []
        deadline = time.monotonic() + within
        for raw in client.scan_iter(match=f"{prefix}*", count=500):
            key = raw.decode().removeprefix(prefix)
            if len(keys) >= limit or time.monotonic() > deadline:
                break
            if ":v" not in key:
                keys.append(key)
        return keys

    def _store_all(self, documents: Mapping[str, Document[T]], pipe: Any) -> None:
        for key, document in documents.items():
            shorter = 1 - JITTER * random.random()  # noqa: S311
            pipe.eval(
                STORE,
                2,
                self._pointer(key),
                self._place(key, document.version),
                document.version,
                self._codec.encode(key, document),
                int(self._ttl * 1000 * shorter),
                int(self._hint_ttl * 1000 * shorter),
            )

    def _pointed_at(self, key: str, raw: object) -> int | None:
        """The version that a pointer names; one that names none is removed."""
        version = _version(raw)
        if version is None and isinstance(raw, bytes):
            self._remove(self._pointer(key))
        return version

    def _read(self, key: str, version: int, raw: object) -> Document[T] | None:
        """A document from its bytes; what is not one is a miss, and is removed."""
        if isinstance(raw, bytes):
            try:
                document = self._codec.decode(key, version, raw)
            except Unreadable as error:
                log.info("shared_cache_unreadable", cache=self.name, error=str(error))
                self._remove(self._place(key, version))
            else:
                self.tally.count("hits")
                return document
        self.tally.count("misses")
        return None

    def _pointer(self, key: str) -> str:
        return f"{self.name}:{key}"

    def _place(self, key: str, version: int) -> str:
        return f"{self.name}:{key}:v{version}"


def _version(raw: object) -> int | None:
    """From a pointer; None for none, and for what is none."""
    return int(raw) if isinstance(raw, bytes) and raw.isdigit() and len(raw) <= 15 and int(raw) else None


def _seconds(milliseconds: object) -> float | None:
    """From PTTL; None where nothing is there, or it never ends."""
    return milliseconds / 1000 if isinstance(milliseconds, int) and milliseconds >= 0 else None
