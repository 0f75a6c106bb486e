"""Whatever Redis does, and whatever is done to it, no reader is shown the past, and none waits for it."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import pytest
import redis

from accounts.domain.commands import Deposit
from accounts.domain.money import Money
from ops.breaker import State
from tests.bank import Bank
from tests.faults.readers import Ledger, Process
from tests.faults.redis_server import RedisServer
from tests.threads import together

PROCESSES, READERS, WRITERS = 5, 11, 5
SECONDS = float(os.environ.get("FAULT_SECONDS", "8"))


@dataclass
class Chaos:
    server: RedisServer
    processes: list[Process]
    dice: random.Random
    done: list[str] = field(default_factory=list)

    def strike(self) -> None:
        deeds = (self.kill, self.restart_empty, self.restart_with_old_data, self.pause, self.keep_data, self.cut_off)
        deed = self.dice.choice(deeds)
        self.done.append(deed.__name__)
        deed()

    def kill(self) -> None:
        self.server.kill()
        self._wait()
        self.server.start()

    def restart_empty(self) -> None:
        self.server.restart_empty()

    def restart_with_old_data(self) -> None:
        self.server.restart_with_old_data()

    def keep_data(self) -> None:
        self.server.keep_data()

    def pause(self) -> None:
        self.server.pause()
        self._wait()
        self.server.resume()

    def cut_off(self) -> None:
        unlucky = self.dice.sample(self.processes, 2)
        for process in unlucky:
            process.cut_off = True
        self._wait()
        for process in unlucky:
            process.cut_off = False

    def _wait(self) -> None:
        time.sleep(self.dice.uniform(0.05, 0.6))


def test_no_reader_sees_a_version_older_than_one_that_was_seen_or_acknowledged_before(
    bank: Bank, redis_server: RedisServer
) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**6))
    print(f"FAULT_SEED={seed}")  # noqa: T201
    dice = random.Random(seed)
    accounts = [bank.open() for _ in range(6)]
    ledger = Ledger(dict.fromkeys(accounts, 1))
    processes = [Process(redis_server) for _ in range(PROCESSES)]
    chaos = Chaos(redis_server, processes, random.Random(dice.random()))
    until = time.monotonic() + SECONDS
    wrong: list[str] = []
    counts = {"strict": 0, "stated": 0, "writes": 0}

    def read(mine: random.Random) -> None:
        while time.monotonic() < until and not wrong:
            stated = mine.random() < 0.5
            account_id = mine.choice(accounts)
            try:
                view = ledger.read(mine.choice(processes), account_id, stated=stated)
                assert view.balance == (view.version - 1) * 100, f"{view} never was"
            except AssertionError as error:
                wrong.append(str(error))
            counts["stated" if stated else "strict"] += 1

    def write(mine: random.Random) -> None:
        while time.monotonic() < until and not wrong:
            account_id = mine.choice(accounts)
            executed = bank.do(Deposit(account_id, Money(100, "EUR")))
            ledger.learn(account_id, executed.result["accounts"][0]["version"])
            counts["writes"] += 1
            time.sleep(mine.uniform(0, 0.02))

    def strike() -> None:
        while time.monotonic() < until and not wrong:
            chaos.strike()
            time.sleep(chaos.dice.uniform(0, 0.2))

    workers: list[Callable[[random.Random], None]] = [read] * READERS + [write] * WRITERS
    together([strike, *(partial(work, random.Random(dice.random())) for work in workers)])

    print(counts, chaos.done)  # noqa: T201
    assert not wrong, f"FAULT_SEED={seed}: {wrong[0]}"
    assert min(counts.values()) > 50
    assert len(chaos.done) > 5
    hits = sum(process.cache.stats()["l2"]["hits"] for process in processes)
    assert hits > 0, "Redis never answered: nothing was tested"


def read_times(process: Process, key: str, times: int) -> list[float]:
    """Of reads that look into Redis."""
    durations = []
    for _ in range(times):
        process.cache.clear_local()
        began = time.perf_counter()
        assert process.cache.get_at_least(key, 1) is not None
        durations.append(time.perf_counter() - began)
    return durations


def test_a_redis_that_hangs_holds_reads_up_for_moments_and_then_not_at_all(
    bank: Bank, redis_server: RedisServer
) -> None:
    key = str(bank.open())
    process = Process(redis_server)
    sound = median(read_times(process, key, 30))

    redis_server.pause()
    first = read_times(process, key, 3)
    assert process.breaker.state is State.OPEN
    later = read_times(process, key, 100)

    assert max(first) < 0.5
    assert median(later) < 2 * sound + 0.002
    assert sorted(later)[-5] < 0.04, "someone waited for Redis while the breaker was open"

    redis_server.resume()
    deadline = time.monotonic() + 5
    while process.breaker.state is not State.CLOSED:
        assert time.monotonic() < deadline
        read_times(process, key, 1)
        time.sleep(0.02)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_commands_are_executed_as_ever_without_redis(
    bank: Bank, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The executor knows no Redis: here every connection of the process that was made for Redis leads to nowhere."""
    account_id = bank.open()
    sent: list[object] = []
    connect = redis.connection.AbstractConnection.send_packed_command

    def counting(self: redis.connection.AbstractConnection, *args: object, **kwargs: object) -> None:
        sent.append(args)
        connect(self, *args, **kwargs)  # type: ignore[arg-type]

    getattr(redis_server, fault)()
    with monkeypatch.context() as patch:
        patch.setattr(redis.connection.AbstractConnection, "send_packed_command", counting)
        for _ in range(20):
            bank.deposit(account_id, "1.00")
    assert not sent, "a command talked to Redis"
    assert bank.balance(account_id) == 2000


def test_stale_documents_of_an_old_redis_are_no_answer(bank: Bank, redis_server: RedisServer) -> None:
    account_id = bank.open()
    here, there = Process(redis_server), Process(redis_server)
    key = str(account_id)
    here.cache.get_at_least(key, 1)
    time.sleep(1.2)  # Redis writes its file every second
    redis_server.keep_data()
    for version in (2, 3, 4):
        bank.deposit(account_id, "1.00")
        here.cache.get_at_least(key, version)

    redis_server.restart_with_old_data()
    time.sleep(0.3)

    client = redis_server.client()
    assert client.get(f"account:{key}") == b"1", "the old data is there"
    assert [there.cache.get_at_least(key, 4).version, there.cache.get(key).version] == [4, 4]  # type: ignore[union-attr]
    assert client.get(f"account:{key}") == b"4"
