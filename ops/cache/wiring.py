"""Tiered caches as the settings want them."""

import threading
from functools import lru_cache
from typing import TypeVar

import redis
from django_redis import get_redis_connection

from ops.breaker import CircuitBreaker
from ops.cache.documents import Codec
from ops.cache.metrics import Tally
from ops.cache.shared import OUTAGES, SharedCache
from ops.cache.tiered import Load, LoadMany, TieredCache
from ops.conf import get_settings

T = TypeVar("T")
ALIAS = "tiered"
"""The entry of Django's CACHES whose connections are used."""

_opened = threading.Event()


def tiered_cache(name: str, *, codec: Codec[T], load: Load[T], load_many: LoadMany[T]) -> TieredCache[T]:
    """A cache of its own memory, in the Redis that all share. `name` begins its keys and labels its metrics."""
    config = get_settings()
    shared = SharedCache(
        name,
        codec=codec,
        client=client,
        breaker=breaker(),
        ttl=config.cache_default_ttl,
        hint_ttl=min(config.cache_default_ttl, 2 * config.cache_warmup_interval),
        operation_timeout=config.cache_operation_timeout,
        tally=Tally(name, "l2"),
    )
    return TieredCache(
        name,
        load=load,
        load_many=load_many,
        shared=shared,
        max_size=config.cache_max_size,
        shards=config.cache_shard_count,
        ttl=config.cache_default_ttl,
        operation_timeout=config.cache_operation_timeout,
    )


@lru_cache(maxsize=1)
def breaker() -> CircuitBreaker:
    """The one of all caches of this process: they use the same Redis."""
    return CircuitBreaker("redis", on=OUTAGES, probe=lambda: get_redis_connection(ALIAS).ping())


def client() -> redis.Redis:
    """A client of the shared cache; the first use opens REDIS_MIN_CONNECTIONS connections.

    Raises:
        redis.ConnectionError, redis.TimeoutError: they could not be opened.
    """
    connected: redis.Redis = get_redis_connection(ALIAS)
    if not _opened.is_set():
        _opened.set()
        pool, opened = connected.connection_pool, []
        try:
            for _ in range(get_settings().redis_min_connections):
                opened.append(pool.get_connection())
        finally:
            for connection in opened:
                pool.release(connection)
    return connected
