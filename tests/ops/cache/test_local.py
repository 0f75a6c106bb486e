"""The first tier holds so many values and no more, and lets the least recently used one go."""

import gc
import random
import threading
import tracemalloc

import pytest
from prometheus_client import REGISTRY

from ops.cache import metrics
from ops.cache.local import LocalCache
from ops.cache.metrics import Tally
from tests.threads import together


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cache_of(size: int, *, shards: int = 4, ttl: float = 60, **options: object) -> LocalCache:
    return LocalCache(max_size=size, shards=shards, ttl=ttl, **options)  # type: ignore[arg-type]


def test_the_least_recently_used_value_of_all_shards_makes_room() -> None:
    cache = cache_of(3)
    for key in "abc":
        cache.put(key, key.upper())
    cache.get("a")
    cache.put("d", "D")

    assert cache.get("b") is None
    assert [cache.get(key) for key in "acd"] == ["A", "C", "D"]
    assert [key for key, _ in cache.newest(2)] == ["d", "c"]


def test_a_value_is_gone_after_its_time_and_a_little_before_for_some() -> None:
    clock = Clock()
    cache = cache_of(1000, ttl=100, clock=clock)
    for number in range(1000):
        cache.put(str(number), number)

    clock.now = 95.0
    left = sum(cache.get(str(number)) is not None for number in range(1000))
    assert 350 < left < 650, "what was stored together expires together"
    clock.now = 100.0
    assert all(cache.get(str(number)) is None for number in range(1000))
    assert len(cache) == 0


def test_a_value_may_refuse_to_be_replaced() -> None:
    cache = cache_of(3)
    assert cache.put("a", 2)
    assert not cache.put("a", 1, unless=lambda there: there > 1)
    assert cache.get("a") == 2
    assert cache.put("a", 3, unless=lambda there: there > 3)
    assert cache.get("a") == 3


def test_what_was_removed_gives_its_place_back() -> None:
    cache = cache_of(2)
    for number in range(100):
        cache.put(str(number), number)
        assert cache.remove(str(number))
    assert not cache.remove("0")
    cache.put("a", 1)
    cache.put("b", 2)
    cache.clear()
    assert len(cache) == 0
    assert cache.put("c", 3)
    assert cache.put("d", 4)
    assert (cache.get("c"), cache.get("d")) == (3, 4)


@pytest.mark.parametrize("size", [1, 3, 50])
def test_row_23_the_size_limit_holds_at_every_moment_whatever_many_threads_do(size: int) -> None:
    tally = Tally("row-23", "l1")
    cache = cache_of(size, shards=8, ttl=0.05, tally=tally)
    over: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if (now := len(cache)) > size:
                over.append(now)

    def use() -> None:
        dice = random.Random()
        for _ in range(3000):
            key = str(dice.randrange(4 * size))
            dice.choice([cache.get, cache.get, lambda key: cache.put(key, key), cache.remove])(key)

    watcher = threading.Thread(target=watch)
    watcher.start()
    together([use] * 8)
    done.set()
    watcher.join()

    assert not over
    cache.clear()
    assert len(cache) == 0
    assert cache._taken == 0, "a slot was lost or given back twice"
    for number in range(size):
        cache.put(str(number), number)
    assert len(cache) == size, "all places can be taken again"


def test_row_23_memory_stays_where_it_is_however_many_keys_come_by() -> None:
    cache = cache_of(500)

    def fill(start: int, count: int) -> int:
        for number in range(start, start + count):
            cache.put(f"key-{number}", "x" * 200 + str(number))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full = fill(0, 1000)
        after = fill(1000, 50_000)
    finally:
        tracemalloc.stop()
    assert len(cache) == 500
    assert after < full * 1.1


def test_it_tells_what_happened_in_numbers_and_metrics() -> None:
    clock, tally = Clock(), Tally("told", "l1")
    cache = cache_of(2, ttl=10, clock=clock, tally=tally)
    for key in "abc":
        cache.put(key, key)
    cache.get("b")
    cache.get("a")
    clock.now = 11
    cache.get("b")

    assert tally.as_dict() == {"hits": 1, "misses": 2, "evictions": 1, "expirations": 1}
    for name, value in tally.as_dict().items():
        assert REGISTRY.get_sample_value(f"cache_{name}_total", {"cache": "told", "tier": "l1"}) == value
    assert metrics._held["told"] == len(cache) == 1
