"""The tiers together: who reads is never shown the past of what it, or anybody before it, has seen."""

import pytest
import redis
from prometheus_client import REGISTRY

from ops.cache.documents import Document
from ops.cache.tiered import ABSENT_MOST, TRUSTED_FOR
from tests.ops.cache.conftest import Make, Source


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_read_shows_what_was_written_before_it_in_any_process(tiered: Make, source: Source) -> None:
    here, there = tiered(), tiered()
    for version in range(1, 6):
        source.write("k")  # by a process that tells no cache
        assert here.get("k").version == version
        assert there.get("k").version == version


def test_a_document_is_loaded_once_and_then_only_confirmed(tiered: Make, source: Source) -> None:
    cache, written = tiered(), source.write("k")
    first = cache.get("k")
    source.newest["k"] = Document(written.version, "an equal row, loaded anew", written.stamp)
    assert cache.get("k") is first
    assert cache.get("k") is first
    assert cache.stats()["l1"] == {
        "hits": 2,
        "misses": 1,
        "evictions": 0,
        "expirations": 0,
        "size": 1,
        "max_size": 10,
    }


def test_a_repair_that_leaves_the_version_alone_is_seen(tiered: Make, source: Source) -> None:
    cache = tiered()
    source.write("k")
    cache.get("k")
    source.newest["k"] = Document(1, "repaired", "another row")
    assert cache.get("k").value == "repaired"


def test_nothing_that_redis_holds_reaches_a_reader_who_states_nothing(
    tiered: Make, source: Source, client: redis.Redis, name: str
) -> None:
    cache = tiered()
    source.write("k")
    client.set(f"{name}:k", 9)
    client.set(f"{name}:k:v9", b'{"schema": "text/1", "key": "k", "version": 9, "value": {"text": "forged"}}')
    assert cache.get("k").value == "k at 1"
    cache.get_at_least("k", 5)
    assert cache.get("k").value == "k at 1"


def test_a_reader_who_states_nothing_has_nothing_to_do_with_redis(tiered: Make, source: Source) -> None:
    def no_redis() -> redis.Redis:
        raise AssertionError("Redis was asked")

    cache = tiered(client=no_redis)
    for _ in range(3):
        source.write("k")
        assert cache.get("k").version == cache.get("k").version == source.newest["k"].version
    assert cache.get("unknown") is None


def test_who_states_a_version_gets_it_or_a_later_one_without_the_source_being_asked(
    tiered: Make, source: Source
) -> None:
    clock = Clock()
    writer, reader = tiered(), tiered(clock=clock)
    source.write("k")
    source.write("k")
    writer.get_at_least("k", 2)
    asked = source.asked

    assert reader.get_at_least("k", 2).value == "k at 2"  # from Redis
    assert reader.get_at_least("k", 1).value == "k at 2"  # from memory
    clock.now += TRUSTED_FOR + 1
    assert reader.get_at_least("k", 2).value == "k at 2"  # confirmed by the pointer
    assert source.asked == asked
    assert reader.stats()["l2"]["hits"] == 2


def test_who_states_a_version_that_no_tier_has_is_answered_by_the_source(tiered: Make, source: Source) -> None:
    reader, other = tiered(), tiered()
    for version in range(1, 6):
        source.write("k")
        assert reader.get_at_least("k", version).version == version
    assert other.get_at_least("k", 5).version == 5
    assert source.asked == 5, "the last answer came from Redis"


def test_memory_is_not_trusted_for_long(tiered: Make, source: Source) -> None:
    clock = Clock()
    reader, writer = tiered(clock=clock), tiered()
    source.write("k")
    reader.get("k")
    source.write("k")
    writer.get_at_least("k", 2)
    assert reader.get_at_least("k", 1).version == 1
    clock.now += TRUSTED_FOR + 0.1
    assert reader.get_at_least("k", 1).version == 2


def test_an_old_pointer_does_not_take_a_reader_back(
    tiered: Make, source: Source, client: redis.Redis, name: str
) -> None:
    clock = Clock()
    cache = tiered(clock=clock)
    source.write("k")
    cache.get("k")
    source.write("k")
    cache.get("k")
    client.set(f"{name}:k", 1)  # Redis was restarted with old data
    clock.now += TRUSTED_FOR + 1
    assert cache.get_at_least("k", 1).version == 2


def test_what_does_not_exist_is_asked_for_each_time_and_seen_as_soon_as_it_does(tiered: Make, source: Source) -> None:
    here, there = tiered(), tiered()
    assert here.get("k") is None
    assert there.get_at_least("k", 1) is None
    assert there.get_at_least("k", 1) is None
    assert there.stats()["l2"]["misses"] == 1, "Redis is not asked again for what the source does not know"
    source.write("k")
    assert here.get("k").version == 1
    assert there.get_at_least("k", 1).version == 1
    assert there.get("k").version == 1


def test_row_23_unknown_keys_do_not_pile_up(tiered: Make) -> None:
    cache = tiered()
    for number in range(ABSENT_MOST + 200):
        assert cache.get(f"unknown-{number}") is None
    assert len(cache._absent) == ABSENT_MOST
    assert cache.stats()["l1"]["size"] == 0


def test_when_the_source_was_put_back_the_lost_versions_are_forgotten(tiered: Make, source: Source) -> None:
    cache, other = tiered(), tiered()
    for _ in range(5):
        source.write("k")
    cache.get_at_least("k", 5)
    source.newest["k"] = Document(2, "restored", "row 2")

    assert cache.get("k").value == "restored"
    assert cache.get_at_least("k", 1).value == "restored"
    assert other.get_at_least("k", 1).value == "restored"


def test_evicting_forgets_here_and_in_redis(tiered: Make, source: Source, name: str, client: redis.Redis) -> None:
    cache = tiered()
    source.write("k")
    cache.get_at_least("k", 1)
    assert [(tier, [entry["key"] for entry in held]) for tier, held in cache.browse(5).items()] == [
        ("l1", ["k"]),
        ("l2", ["k"]),
    ]
    assert cache.evict("k")
    assert not cache.evict("k")
    assert cache.browse(5) == {"l1": [], "l2": []}
    assert cache.get("k").version == 1


def test_documents_that_had_changed_are_counted(tiered: Make, source: Source) -> None:
    cache = tiered()
    before = REGISTRY.get_sample_value("cache_outdated_total", {"cache": "t"}) or 0
    for _ in range(3):
        source.write("k")
        cache.get("k")
    assert REGISTRY.get_sample_value("cache_outdated_total", {"cache": "t"}) == before + 2


def test_an_error_of_the_source_reaches_the_caller_and_harms_nothing(
    tiered: Make, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tiered()
    source.write("k")
    cache.get("k")

    def fail(key: str, known: object) -> None:
        raise OSError("the source is down")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_load", fail)
        with pytest.raises(OSError, match="down"):
            cache.get("k")
    assert cache.get("k").version == 1


def test_several_are_confirmed_by_one_question(tiered: Make, source: Source) -> None:
    cache = tiered()
    for key in "abc":
        source.write(key)
    assert {key: found.value for key, found in cache.get_many("abx").items()} == {"a": "a at 1", "b": "b at 1"}
    source.write("b")
    assert {key: found.value for key, found in cache.get_many("abc").items()} == {
        "a": "a at 1",
        "b": "b at 2",
        "c": "c at 1",
    }
    assert source.asked == 2
    assert cache.get_many("a")["a"] is cache.peek("a")[0], "what is still the newest is not read again"


def test_what_one_of_several_no_longer_is_is_forgotten(tiered: Make, source: Source) -> None:
    cache = tiered()
    source.write("a")
    source.write("b")
    cache.get_many("ab")
    del source.newest["a"]
    assert set(cache.get_many("ab")) == {"b"}
    assert cache.peek("a") is None
