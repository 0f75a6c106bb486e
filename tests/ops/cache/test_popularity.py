"""Uses are counted across processes, in a set that stays small."""

import redis

from ops.cache.popularity import FLUSH_EVERY, MOST_KEYS, Popularity
from tests.ops.cache.conftest import Make


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_most_used_keys_of_all_processes_come_first(shared: Make) -> None:
    here, there = Popularity(shared(), most=10), Popularity(shared(), most=10)
    for key, times in {"a": 2, "b": 5, "c": 1}.items():
        for _ in range(times):
            here.note(key)
    for _ in range(4):
        there.note("a")
    here.flush()
    there.flush()

    assert here.most_used(2) == ["a", "b"]
    assert there.most_used(10) == ["a", "b", "c"]
    there.forget("a")
    assert here.most_used(2) == ["b", "c"]
    assert here.most_used(0) == []


def test_counts_are_delivered_after_a_while_or_when_there_are_many(shared: Make) -> None:
    clock = Clock()
    popularity = Popularity(shared(), most=10_000, clock=clock)
    popularity.note("a")
    assert popularity.most_used(9) == []
    clock.now += FLUSH_EVERY
    popularity.note("a")
    assert popularity.most_used(9) == ["a"]
    for number in range(MOST_KEYS):
        popularity.note(f"k{number}")
    assert len(popularity.most_used(10_000)) == MOST_KEYS + 1


def test_row_23_only_so_many_keys_are_remembered(shared: Make, client: redis.Redis, name: str) -> None:
    popularity = Popularity(shared(), most=10)
    popularity.note("often")
    popularity.note("often")
    for number in range(3 * MOST_KEYS):
        popularity.note(f"k{number}")
    popularity.flush()
    assert client.zcard(f"{name}-uses") == 10
    assert popularity.most_used(1) == ["often"]
    assert len(popularity._counts) == 0


def test_yesterdays_favourites_fade(shared: Make, client: redis.Redis, name: str) -> None:
    popularity = Popularity(shared(), most=10)
    for _ in range(8):
        popularity.note("old")
    popularity.flush()
    for _ in range(3):
        popularity.fade()
    popularity.note("new")
    popularity.note("new")
    popularity.flush()
    assert popularity.most_used(2) == ["new", "old"]
    for _ in range(5):
        popularity.fade()
    assert client.zcard(f"{name}-uses") == 0
