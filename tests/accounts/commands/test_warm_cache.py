"""`warm_cache` brings the accounts that are used most to Redis, and keeps bringing what changes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import UUID

import pytest
import redis
from django.core.management import CommandError, call_command
from django_redis import get_redis_connection

from accounts import cache, warming
from accounts.cache import accounts_cache, popularity
from ops.conf import Settings, get_settings
from tests.bank import Bank
from tests.processes import wait_until


@pytest.fixture
def client() -> redis.Redis:
    connected: redis.Redis = get_redis_connection("tiered")
    return connected


@pytest.fixture(autouse=True)
def cold(db: None, client: redis.Redis) -> Iterator[None]:
    accounts_cache().clear_local()
    popularity().flush()
    client.delete("account-uses")
    yield
    accounts_cache().clear_local()


def pointer(client: redis.Redis, account_id: UUID) -> int:
    return int(client.get(f"account:{account_id}") or 0)


def with_settings(monkeypatch: pytest.MonkeyPatch, **values: int) -> None:
    changed: Settings = get_settings().model_copy(update=values)
    monkeypatch.setattr(warming, "get_settings", lambda: changed)


def test_the_most_used_accounts_are_brought_to_redis_and_others_that_changed_lately_fill_up(
    bank: Bank, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, favourite, recent = bank.open("1.00"), bank.open("1.00"), bank.open("1.00")
    cache.account(favourite)
    bank.deposit(favourite, "1.00")
    bank.deposit(recent, "1.00")

    call_command("warm_cache", "--limit", "2")

    assert re.fullmatch(
        r"2 accounts warmed in \d+\.\d\d s \(1 most used, 1 changed lately, 0 unknown, 0 failed\)\.",
        capsys.readouterr().out.strip(),
    )
    assert [pointer(client, account_id) for account_id in (favourite, recent, quiet)] == [3, 3, 0]
    accounts_cache().clear_local()
    assert cache.account(favourite, at_least=3).balance == 200  # type: ignore[union-attr]


def test_batches_are_as_large_as_the_setting_says(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, client: redis.Redis
) -> None:
    accounts = [bank.open() for _ in range(7)]
    with_settings(monkeypatch, cache_warmup_batch_size=3)
    seen: list[tuple[int, int]] = []

    report = warming.warm(100, progress=lambda done, total: seen.append((done, total)))

    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert (report.warmed, report.stopped) == (7, False)
    assert all(pointer(client, account_id) == 1 for account_id in accounts)


def test_ids_that_were_counted_and_do_not_exist_are_told_and_forgotten(bank: Bank) -> None:
    popularity().note("00000000-0000-0000-0000-000000000001")
    bank.open()
    assert (first := warming.warm(10)).missing == 1
    assert (first.warmed, warming.warm(10).missing) == (1, 0)


def test_an_empty_bank_is_warm_at_once(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("warm_cache")
    assert capsys.readouterr().out.startswith("0 accounts warmed")


def test_without_redis_the_command_says_so_and_fails(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.open()
    nowhere = redis.Redis(port=1, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
    monkeypatch.setattr(accounts_cache().shared, "_client", lambda: nowhere)
    with pytest.raises(CommandError, match="Redis did not take 1 accounts: see that REDIS_URL answers"):
        call_command("warm_cache")
    accounts_cache().shared.breaker._failed_at.clear()


@pytest.mark.parametrize("limit", ["0", "-1", "10000001"])
def test_a_limit_that_makes_no_sense_is_refused(db: None, limit: str) -> None:
    with pytest.raises(CommandError, match="--limit must lie between"):
        call_command("warm_cache", "--limit", limit)


def test_the_follower_brings_what_changes_and_nothing_twice(bank: Bank, client: redis.Redis) -> None:
    before = bank.open("1.00")
    follower = warming.Follower()
    ann, bob = bank.open("10.00"), bank.open()
    bank.transfer(ann, bob, "1.00")

    assert follower.step() == 5
    assert follower.step() == 0
    assert [pointer(client, account_id) for account_id in (before, ann, bob)] == [0, 3, 2]


def test_the_follower_waits_while_redis_takes_nothing(
    bank: Bank, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = warming.Follower()
    ann = bank.open("10.00")
    with monkeypatch.context() as patch:
        patch.setattr(accounts_cache().shared, "attempt", lambda action: None)
        assert follower.step() == 0
    assert pointer(client, ann) == 0
    assert follower.step() == 2
    assert pointer(client, ann) == 2


def test_the_service_warms_follows_and_ends_cleanly_when_told(bank: Bank, client: redis.Redis) -> None:
    ann = bank.open("1.00")
    environment = {**os.environ, "CACHE_WARMUP_INTERVAL": "1"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "warm_cache", "--loop"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: pointer(client, ann) == 2, 20)
        bank.deposit(ann, "1.00")
        wait_until(lambda: pointer(client, ann) == 3, 20)
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    lines = output.splitlines()
    assert lines[-1] == "Stopped."
    assert len([line for line in lines if "1 accounts warmed" in line]) >= 2
