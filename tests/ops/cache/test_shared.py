"""The second tier: versioned documents in Redis, and pointers that only rise."""

import itertools
import random

import orjson
import pytest
import redis

from ops.cache.documents import Codec, Document
from ops.cache.shared import PIPELINE
from tests.ops.cache.conftest import TEXT, Make
from tests.threads import together


def document(version: int) -> Document[str]:
    return Document(version, f"as of {version}", "stamp")


def unstamped(version: int) -> Document[str]:
    """As it comes back: what only the source knows is not in Redis."""
    return Document(version, f"as of {version}")


def test_what_one_process_stores_another_finds_under_the_documented_keys(
    shared: Make, name: str, client: redis.Redis
) -> None:
    assert shared().put_many({"k": document(3)}) == 1

    assert shared().newest("k", at_least=3) == unstamped(3)
    assert client.get(f"{name}:k") == b"3"
    assert orjson.loads(client.get(f"{name}:k:v3")) == {
        "schema": "text/1",
        "key": "k",
        "version": 3,
        "value": {"text": "as of 3"},
    }
    assert 80 < client.ttl(f"{name}:k:v3") <= 100
    assert 40 < client.ttl(f"{name}:k") <= 50


def test_lives_differ_so_that_what_was_stored_together_does_not_expire_together(
    shared: Make, name: str, client: redis.Redis
) -> None:
    shared().put_many({f"k{number}": document(1) for number in range(100)})
    assert len({client.pttl(f"{name}:k{number}:v1") // 500 for number in range(100)}) > 5


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_the_pointer_ends_at_the_highest_version_in_whatever_order_they_arrive(
    shared: Make, order: tuple[int, ...]
) -> None:
    for version in order:
        shared().put_many({"k": document(version)})
    assert shared().newest("k", at_least=1) == unstamped(3)


def test_sixteen_writers_at_once_never_lower_the_pointer(shared: Make, name: str, client: redis.Redis) -> None:
    seen: list[int] = []
    versions = list(range(1, 161))
    random.shuffle(versions)

    def write(mine: list[int]) -> None:
        cache = shared()
        for version in mine:
            cache.put_many({"k": document(version)})
            seen.append(int(client.get(f"{name}:k") or 0) - version)

    together([lambda part=part: write(versions[part::16]) for part in range(16)])
    assert min(seen) >= 0
    assert client.get(f"{name}:k") == b"160"


def test_a_version_below_what_the_caller_needs_is_a_miss(shared: Make) -> None:
    cache = shared()
    cache.put_many({"k": document(3)})
    assert cache.newest("k", at_least=4) is None
    assert cache.newest("k", at_least=1) == unstamped(3)
    assert cache.newest("other", at_least=1) is None
    assert (cache.tally.as_dict()["hits"], cache.tally.as_dict()["misses"]) == (1, 2)


def test_a_document_that_the_caller_holds_is_not_fetched_again(shared: Make, name: str, client: redis.Redis) -> None:
    cache, held = shared(), document(3)
    cache.put_many({"k": held})
    client.delete(f"{name}:k:v3")
    assert cache.newest("k", at_least=2, known=held) is held
    assert cache.newest("k", at_least=2) is None, "the pointer names a document that was evicted"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"not json",
        b"[]",
        b"7",
        b'{"schema": "text/1"}',
        b'{"schema": "text/0", "key": "k", "version": 3, "value": {"text": "x"}}',
        b'{"schema": "text/1", "key": "other", "version": 3, "value": {"text": "x"}}',
        b'{"schema": "text/1", "key": "k", "version": 2, "value": {"text": "x"}}',
        b'{"schema": "text/1", "key": "k", "version": 3, "value": {"text": 5}}',
        b'{"schema": "text/1", "key": "k", "version": 3, "value": {}}',
        b"\x80\x04\x95\x0b\x00\x00\x00",
    ],
)
def test_what_is_no_document_of_this_code_is_a_miss_and_is_removed(
    shared: Make, name: str, client: redis.Redis, damaged: bytes
) -> None:
    client.set(f"{name}:k", 3)
    client.set(f"{name}:k:v3", damaged)
    assert shared().newest("k", at_least=1) is None
    assert not client.exists(f"{name}:k:v3")


def test_another_schema_is_a_miss(shared: Make) -> None:
    shared().put_many({"k": document(3)})
    newer: Codec[str] = Codec("text/2", TEXT.dump, TEXT.load)
    assert shared(codec=newer).newest("k", at_least=1) is None


@pytest.mark.parametrize("pointer", [b"x", b"", b"-3", b"0", b"3.5", b"1e3", b"9" * 30])
def test_a_pointer_that_names_no_version_is_removed_and_can_be_set_again(
    shared: Make, name: str, client: redis.Redis, pointer: bytes
) -> None:
    client.set(f"{name}:k", pointer)
    assert shared().newest("k", at_least=1) is None
    assert not client.exists(f"{name}:k")
    shared().put_many({"k": document(3)})
    assert shared().newest("k", at_least=1) == unstamped(3)


def test_a_pointer_of_another_type_is_a_miss_that_mends_itself(shared: Make, name: str, client: redis.Redis) -> None:
    client.hset(f"{name}:k", "a", "b")
    assert shared().newest("k", at_least=1) is None
    assert shared().put_many({"k": document(3)}) == 1
    assert shared().newest("k", at_least=1) == unstamped(3)


def test_many_are_written_in_pipelines(
    shared: Make, monkeypatch: pytest.MonkeyPatch, client: redis.Redis, name: str
) -> None:
    many = {f"k{number}": document(number + 1) for number in range(2 * PIPELINE + 1)}
    sent = 0
    execute = redis.client.Pipeline.execute

    def counting(self: redis.client.Pipeline, *args: object, **kwargs: object) -> object:
        nonlocal sent
        sent += 1
        return execute(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(redis.client.Pipeline, "execute", counting)
    cache = shared()

    assert cache.put_many(many) == len(many)
    assert sent == 3
    client.delete(f"{name}:k0")
    client.delete(f"{name}:k1:v2")
    sent = 0
    found = {key: cache.newest(key, at_least=doc.version) for key, doc in many.items()}
    assert sent == len(many)
    assert found == {key: None if key in ("k0", "k1") else unstamped(doc.version) for key, doc in many.items()}


def test_an_evicted_key_is_gone(shared: Make, name: str, client: redis.Redis) -> None:
    cache = shared()
    cache.put_many({"k": document(3)})
    assert cache.evict("k")
    assert not cache.evict("k")
    assert client.keys(f"{name}:*") == []


def test_one_can_look_around(shared: Make) -> None:
    cache = shared()
    cache.put_many({f"k{number}": document(7) for number in range(5)})
    browsed = cache.browse(limit=3)
    assert len(browsed) == 3
    assert {entry["version"] for entry in browsed} == {7}
    assert all(0 < entry["seconds_left"] <= 50 for entry in browsed)
    assert len(cache.browse(limit=100)) == 5


def test_without_redis_nothing_is_found_and_nothing_raised(shared: Make) -> None:
    nowhere = redis.Redis(port=1, socket_timeout=0.1, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    cache = shared(client=lambda: nowhere)
    assert cache.put_many({"k": document(1)}) == 0
    assert cache.newest("k", at_least=1) is None
    assert cache.browse(10) == []
    assert not cache.evict("k")
    told = cache.stats()
    assert (told["size"], told["breaker"], told["errors"]) == (None, "open", 3)
