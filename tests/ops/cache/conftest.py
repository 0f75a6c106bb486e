"""Caches of a test's own, in the Redis of the test run."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import redis
from django_redis import get_redis_connection

from ops.breaker import CircuitBreaker
from ops.cache.documents import Codec, Document
from ops.cache.metrics import Tally
from ops.cache.shared import OUTAGES, SharedCache
from ops.cache.tiered import TieredCache

TEXT: Codec[str] = Codec("text/1", dump=lambda value: {"text": value}, load=lambda data: data["text"] + "")
Make = Callable[..., Any]


class Source:
    """The truth: the newest version of each key. It counts how often it is asked."""

    def __init__(self) -> None:
        self.newest: dict[str, Document[str]] = {}
        self.asked = 0

    def write(self, key: str) -> Document[str]:
        version = self.newest[key].version + 1 if key in self.newest else 1
        self.newest[key] = Document(version, f"{key} at {version}", f"row {version}")
        return self.newest[key]

    def load(self, key: str, known: Document[str] | None) -> Document[str] | None:
        self.asked += 1
        found = self.newest.get(key)
        return known if known and found and (known.version, known.stamp) == (found.version, found.stamp) else found

    def load_many(self, known: Mapping[str, Document[str] | None]) -> dict[str, Document[str]]:
        self.asked += 1
        asked, found = self.asked, {key: self.load(key, there) for key, there in known.items()}
        self.asked = asked
        return {key: document for key, document in found.items() if document is not None}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def name() -> Iterator[str]:
    """Of the cache, and thus the beginning of all its keys in Redis; they are removed afterwards."""
    name = f"t{secrets.token_hex(4)}"
    yield name
    client = get_redis_connection("tiered")
    if left := list(client.scan_iter(match=f"{name}*")):
        client.delete(*left)


@pytest.fixture
def client() -> redis.Redis:
    connected: redis.Redis = get_redis_connection("tiered")
    return connected


@pytest.fixture
def shared(name: str) -> Make:
    """Makes a second tier; calls for the same name share what is in Redis, as processes do."""

    def make(
        codec: Codec[str] = TEXT, client: Callable[[], redis.Redis] = lambda: get_redis_connection("tiered")
    ) -> SharedCache[str]:
        breaker = CircuitBreaker("t", on=OUTAGES, probe=lambda: client().ping(), pause=0.1)
        tally = Tally("t", "l2")
        return SharedCache(
            name,
            codec=codec,
            client=client,
            breaker=breaker,
            ttl=100,
            hint_ttl=50,
            operation_timeout=5,
            tally=tally,
        )

    return make


@pytest.fixture
def tiered(shared: Make, source: Source) -> Make:
    """Makes a tiered cache with a memory of its own, as another process would have."""

    def make(clock: Callable[[], float] | None = None, **options: Any) -> TieredCache[str]:
        extra = {"clock": clock} if clock else {}
        return TieredCache(
            "t",
            load=source.load,
            load_many=source.load_many,
            shared=shared(**options),
            max_size=10,
            shards=2,
            ttl=100,
            operation_timeout=5,
            **extra,  # type: ignore[arg-type]
        )

    return make
