"""kill -9 of relays, consumers, the broker and Redis at random moments, under load.

`make faults` does it tens of times; the suite a few. The seed is printed; SEED=... repeats the choices, though not
the moments of the machine.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connections

from accounts.models import DailyBalance, JournalLine, LedgerDay, Transaction
from eventstore.models import Event
from tests.bank import Bank
from tests.faults.readers import Ledger
from tests.faults.readers import Process as Cache
from tests.faults.redis_server import RedisServer
from tests.kafka import Kafka, Process, RunningBroker, is_applied, is_relayed, require_kafka, wait_for

KILLS = int(os.environ.get("KILLS") or 4)
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
ACCOUNTS = 20
READ_MODELS = ("transactions", "journal", "daily_balances", "ledger_days")


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that may be killed."""
    require_kafka()
    running = RunningBroker(tmp_path_factory.mktemp("faults") / "broker")
    running.start()
    yield running
    running.stop()


class Load:
    """Commands without pause, by one teller, and reads through two caches, by two others; knows which commands the
    bank acknowledged, and what each reader must see from then on."""

    def __init__(self, bank: Bank, server: RedisServer, seed: int) -> None:
        self.acknowledged: list[UUID] = []
        self.reads = 0
        self._bank = bank
        self._accounts = [bank.open() for _ in range(ACCOUNTS)]
        self._ledger = Ledger(dict.fromkeys(self._accounts, 1))
        self._caches = [Cache(server) for _ in range(2)]
        self._stop = threading.Event()
        self._wrong: list[BaseException] = []
        work = [self._write, self._read, self._read]
        self._threads = [
            threading.Thread(target=self._run, args=(work, random.Random(seed + number)))
            for number, work in enumerate(work)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if self._wrong:
            raise self._wrong[0]

    def hits(self) -> int:
        """Reads that Redis answered."""
        return sum(process.cache.stats()["l2"]["hits"] for process in self._caches)

    def _run(self, work: Callable[[random.Random], None], dice: random.Random) -> None:
        try:
            while not self._stop.wait(dice.random() * 0.01):
                work(dice)
        except BaseException as error:  # told by the main thread
            self._wrong.append(error)
        connections.close_all()

    def _write(self, dice: random.Random) -> None:
        source, target = dice.sample(self._accounts, 2)
        for done in (self._bank.deposit(source, "2.00"), self._bank.transfer(source, target, "1.00")):
            self.acknowledged.append(done.transaction_id)
            for account in done.result["accounts"]:  # type: ignore[attr-defined]
                self._ledger.learn(UUID(account["id"]), account["version"])

    def _read(self, dice: random.Random) -> None:
        self._ledger.read(dice.choice(self._caches), dice.choice(self._accounts), stated=dice.random() < 0.5)
        self.reads += 1


class Victims:
    """Two relays, two consumers, a broker and a Redis, each replaced after it was killed."""

    def __init__(self, kafka: Kafka, broker: RunningBroker, redis: RedisServer) -> None:
        self._broker, self._redis = broker, redis
        start: Mapping[str, Callable[[], Process]] = {"relay": kafka.relay, "consumer": kafka.consumers}
        self._start = start
        self._running = {(kind, number): start[kind]() for kind in start for number in range(2)}

    def kill_one(self, dice: random.Random) -> str:
        """Kills one of them at random, and starts it again after a while; returns which it was."""
        victim = dice.choice([*self._running, ("broker", 0), ("redis", 0)])
        if victim[0] == "broker":
            self._broker.kill()
            time.sleep(dice.random() * 2)
            self._broker.start()
        elif victim[0] == "redis":
            self._redis.kill()
            time.sleep(dice.random())
            self._redis.start()
        else:
            self._running[victim].kill()
            time.sleep(dice.random())
            self._running[victim] = self._start[victim[0]]()
        return f"{victim[0]} {victim[1]}"


def content() -> list[object]:
    days = DailyBalance.objects.order_by("account_id", "day")
    ledger = LedgerDay.objects.order_by("day", "currency", "ledger_account")
    return [
        list(Transaction.objects.order_by("pk").values()),
        list(JournalLine.objects.order_by("pk").values()),
        list(days.values("account_id", "day", "closing_balance", "credits", "debits", "postings", "version")),
        list(ledger.values("day", "currency", "ledger_account", "credits", "debits", "lines")),
    ]


@pytest.mark.timeout(150 + 25 * KILLS)
def test_whoever_is_killed_nothing_is_lost_and_nothing_doubled(
    db: None, own_broker: RunningBroker, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"SEED={SEED} KILLS={KILLS}")  # noqa: T201
    dice, bank = random.Random(SEED), Bank()
    with Kafka.on(own_broker.settings, monkeypatch) as kafka:
        with Load(bank, redis_server, SEED) as load:
            victims = Victims(kafka, own_broker, redis_server)
            wait_for(Transaction.objects.exists)
            for _ in range(KILLS):
                time.sleep(dice.random() * 3)
                before = Event.objects.count()
                killed = victims.kill_one(dice)
                print(f"killed {killed}; {Event.objects.count() - before} events meanwhile")  # noqa: T201
        assert min(len(load.acknowledged), load.reads, load.hits()) > 100, "too little happened to prove anything"
        print(f"{len(load.acknowledged)} commands, {load.reads} reads, {load.hits()} answered by Redis")  # noqa: T201
        wait_for(is_relayed, 60)
        wait_for(is_applied, 60)

    in_the_books = Event.objects.exclude(event_type="AccountOpened").values_list("command_id", flat=True).distinct()
    assert set(in_the_books) == set(load.acknowledged)
    assert Event.objects.count() == ACCOUNTS + len(load.acknowledged) // 2 * 3
    call_command("verify_ledger")
    by_kafka = content()
    for name in READ_MODELS:
        call_command("rebuild_projection", name)
    assert content() == by_kafka, f"SEED={SEED}: the read models differ from a fresh rebuild"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("committed", [True, False], ids=["offsets committed", "offsets on their way"])
def test_relay_and_consumers_end_in_time_while_the_broker_is_dead(
    bank: Bank, own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Within what systemd gives them (20 s); alone on the machine they need less than the launcher's 12."""
    with Kafka.on(own_broker.settings, monkeypatch) as kafka:
        relay, consumers = kafka.relay(), kafka.consumers()
        account = bank.open("1.00")
        wait_for(is_applied)
        bank.deposit(account, "1.00")
        wait_for(is_applied)
        time.sleep(committed)
        own_broker.kill()
        bank.deposit(account, "1.00")
        time.sleep(1)  # it is in flight
        began = time.monotonic()
        for process in (relay, consumers):
            process.terminate()
        assert [relay.wait(20), consumers.wait(20)] == [0, 0]
        assert time.monotonic() - began < 20
        own_broker.start()
        kafka.relay(), kafka.consumers()
        wait_for(is_applied)
    call_command("verify_ledger")
