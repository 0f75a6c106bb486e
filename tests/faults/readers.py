"""Readers of accounts through the tiered cache, and what they must not be shown."""

import threading
from dataclasses import dataclass, field
from uuid import UUID

import redis

from accounts.cache import CODEC, AccountView, load, load_changed
from ops.breaker import CircuitBreaker
from ops.cache.metrics import Tally
from ops.cache.shared import OUTAGES, SharedCache
from ops.cache.tiered import TieredCache
from tests.faults.redis_server import RedisServer


class Process:
    """A cache with a memory, a pool and a breaker of its own, which may be cut off from Redis."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client()
        self.cut_off = False
        self.breaker = CircuitBreaker("test", on=OUTAGES, probe=lambda: self.client().ping(), pause=0.2)
        shared: SharedCache[AccountView] = SharedCache(
            "account",
            codec=CODEC,
            client=self.client,
            breaker=self.breaker,
            ttl=60,
            hint_ttl=60,
            operation_timeout=5,
            tally=Tally("test", "l2"),
        )
        self.cache: TieredCache[AccountView] = TieredCache(
            "test", load=load, load_many=load_changed, shared=shared, max_size=4, shards=2, ttl=2, operation_timeout=5
        )

    def client(self) -> redis.Redis:
        if self.cut_off:
            raise redis.ConnectionError("partitioned")
        return self._client


@dataclass
class Ledger:
    """The highest version of each account that a command was answered with, or a reader was shown, so far."""

    known: dict[UUID, int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, account_id: UUID, version: int) -> None:
        with self.lock:
            self.known[account_id] = max(self.known[account_id], version)

    def read(self, process: Process, account_id: UUID, *, stated: bool) -> AccountView:
        """Reads an account, by the version known or strictly; fails when it is older than what was known before."""
        floor = self.known[account_id]
        key = str(account_id)
        document = process.cache.get_at_least(key, floor) if stated else process.cache.get(key)
        assert document is not None, f"{key} is not there"
        kind = "stated" if stated else "strict"
        assert document.version >= floor, f"{kind} read of {key} shows {document}, {floor} was known"
        assert document.value.version == document.version
        self.learn(account_id, document.version)
        return document.value
