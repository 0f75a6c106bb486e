"""The settings make the cache what it is, and its numbers add up over all processes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django_redis import get_redis_connection
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from ops.cache import wiring
from ops.conf import ConfigurationError, Settings, get_settings
from tests.ops.cache.conftest import TEXT, Source


def with_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    try:
        return get_settings()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_the_defaults_are_those_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("CACHE_", "REDIS_M", "REDIS_O"))]:
        monkeypatch.delenv(name)
    config = with_environment(monkeypatch)
    assert (config.cache_default_ttl, config.cache_max_size, config.cache_shard_count) == (3600, 5000, 8)
    assert (config.cache_warmup_batch_size, config.cache_warmup_interval) == (50, 300)
    assert (config.redis_operation_timeout, config.redis_max_connections, config.redis_min_connections) == (5, 50, 5)
    assert config.cache_operation_timeout == 10


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"CACHE_MAX_SIZE": "0"}, "CACHE_MAX_SIZE is '0': Input should be greater than or equal to 1"),
        ({"CACHE_SHARD_COUNT": "many"}, "CACHE_SHARD_COUNT is 'many'"),
        ({"REDIS_MIN_CONNECTIONS": "51"}, "REDIS_MIN_CONNECTIONS must not be above REDIS_MAX_CONNECTIONS"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        with_environment(monkeypatch, **values)


def test_a_cache_is_bounded_as_the_settings_say(monkeypatch: pytest.MonkeyPatch, source: Source, name: str) -> None:
    config = get_settings().model_copy(
        update={"cache_max_size": 3, "cache_default_ttl": 40, "cache_warmup_interval": 10, "cache_shard_count": 2}
    )
    monkeypatch.setattr(wiring, "get_settings", lambda: config)
    cache = wiring.tiered_cache(name, codec=TEXT, load=source.load, load_many=source.load_many)
    for number in range(10):
        source.write(f"k{number}")
        cache.get_at_least(f"k{number}", 1)
    assert cache.stats()["l1"]["size"] == cache.stats()["l1"]["max_size"] == 3
    client = get_redis_connection("tiered")
    assert 35 <= client.ttl(f"{name}:k0:v1") <= 40
    assert 17 <= client.ttl(f"{name}:k0") <= 20


def test_the_first_use_opens_the_least_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = get_redis_connection("tiered").connection_pool
    pool.disconnect()
    pool.reset()
    monkeypatch.setattr(wiring, "_opened", threading.Event())
    wiring.client().ping()
    assert pool.get_connection_count()[0][0] >= get_settings().redis_min_connections


def test_a_read_has_no_patience_with_redis_and_does_not_try_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    client = get_redis_connection("tiered")
    name = "wiring-test-blocking"
    client.delete(name)
    began = time.monotonic()
    with pytest.raises(redis.TimeoutError):
        client.blpop([name], timeout=5)
    assert time.monotonic() - began < 3 * get_settings().cache_redis_timeout
    pool = settings.CACHES["tiered"]["OPTIONS"]["CONNECTION_POOL_KWARGS"]
    assert pool["max_connections"] == get_settings().redis_max_connections


PROCESS = """
from ops.cache.local import LocalCache
from ops.cache.metrics import Tally
cache = LocalCache(max_size=2, shards=2, ttl=60, tally=Tally("many", "l1"))
for key in "abc":
    cache.put(key, key)
cache.get("c"), cache.get("a")
import sys
print("ready", flush=True)
sys.stdin.read()
"""


def test_metrics_are_those_of_all_processes_together(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROCESS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
        labels = {"cache": "many", "tier": "l1"}
        told = {
            name: registry.get_sample_value(name, labels)
            for name in ("cache_hits_total", "cache_misses_total", "cache_evictions_total")
        }
        assert told == {
            "cache_hits_total": 2,
            "cache_misses_total": 2,
            "cache_evictions_total": 2,
        }
    finally:
        for process in processes:
            process.communicate("")
