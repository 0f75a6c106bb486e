"""Emptying a cache: all of its keys in Redis and no others, in batches; and the memories of processes when asked."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from accounts.cache import accounts_cache
from ops.breaker import CircuitBreaker
from ops.cache import emptying
from ops.cache.documents import Document
from ops.cache.shared import OUTAGES, SharedCache
from ops.jobs.progress import Cancelled

Make = Callable[..., SharedCache[str]]


@pytest.fixture
def filled(shared: Make, client: redis.Redis, name: str) -> Iterator[SharedCache[str]]:
    """A thousand keys and more, beside a cache whose name begins with the same letters."""
    cache = shared()
    cache.put_many({f"key-{number}": Document(1, "value", "") for number in range(600)})
    client.set(f"{name}x:key-1", 1, ex=60)
    yield cache
    client.delete(f"{name}x:key-1")


def test_every_key_of_the_cache_goes_in_batches_and_no_other(
    filled: SharedCache[str], client: redis.Redis, name: str
) -> None:
    told: list[int] = []
    assert emptying.count_shared(filled, most=10_000, within=5) == (1200, True)

    assert emptying.empty_shared(filled, told.append) == 1200
    assert told == sorted(told)
    assert len(told) > 1
    assert emptying.count_shared(filled, most=10_000, within=5) == (0, True)
    assert client.get(f"{name}x:key-1") == b"1"


def test_a_count_ends_at_its_limit_and_says_that_there_are_more(filled: SharedCache[str]) -> None:
    counted = emptying.count_shared(filled, most=300, within=5)
    assert counted is not None
    assert 300 <= counted[0] < 1200
    assert not counted[1]


def test_who_is_told_can_stop_it_after_a_batch(filled: SharedCache[str]) -> None:
    def stop(removed: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        emptying.empty_shared(filled, stop)
    left = emptying.count_shared(filled, most=10_000, within=5)
    assert left is not None
    assert 0 < left[0] < 1200


def test_while_redis_fails_it_says_how_far_it_came(filled: SharedCache[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(action: Callable[[Any], Any]) -> Any:
        return None

    monkeypatch.setattr(filled, "breaker", CircuitBreaker("away", on=OUTAGES, probe=lambda: None))
    monkeypatch.setattr(filled, "attempt", away)
    assert emptying.count_shared(filled, most=10, within=5) is None
    with pytest.raises(emptying.RedisFailed) as failed:
        emptying.empty_shared(filled, lambda removed: None)
    assert failed.value.removed == 0


@pytest.fixture
def remembered() -> Iterator[Callable[[], bool]]:
    """Whether this process still has a document in memory, that it gets here."""
    cache = accounts_cache()

    def remembers() -> bool:
        return cache.stats()["l1"]["size"] > 0

    cache.clear_local()
    cache._local.put("key", object())  # type: ignore[arg-type]
    yield remembers
    cache.clear_local()


def ask_as_another_process_does() -> None:
    path = emptying._path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("now\n")
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def test_a_process_empties_its_memory_once_for_each_request_of_another(remembered: Callable[[], bool]) -> None:
    emptying.look()
    emptying.look()
    assert remembered(), "nobody has asked"

    began = time.time()
    ask_as_another_process_does()
    emptying.look()
    assert not remembered()
    assert emptying.fact()["at"] >= began

    accounts_cache()._local.put("key", object())  # type: ignore[arg-type]
    emptying.look()
    assert remembered(), "that was asked for before"


def test_a_process_that_begins_after_a_request_has_nothing_to_forget(
    remembered: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_as_another_process_does()
    monkeypatch.setattr(emptying._own, "request", None)
    emptying.look()
    assert remembered()
