"""kill -9 of relays, consumers and the broker at random moments, under load.

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

from accounts.models import DailyBalance, JournalLine, Transaction
from eventstore.models import Event
from tests.bank import Bank
from tests.kafka import Kafka, Process, RunningBroker, is_applied, is_relayed, require_kafka, wait_for

KILLS = int(os.environ.get("KILLS") or 5)
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
ACCOUNTS = 20
READ_MODELS = ("transactions", "journal", "daily_balances")


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that may be killed."""
    require_kafka()
    running = RunningBroker(tmp_path_factory.mktemp("faults") / "broker")
    running.start()
    yield running
    running.stop()


class Load:
    """Commands without pause, by one teller; knows which of them the bank acknowledged."""

    def __init__(self, bank: Bank, dice: random.Random) -> None:
        self.acknowledged: list[UUID] = []
        self._bank, self._dice = bank, dice
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        accounts = [self._bank.open() for _ in range(ACCOUNTS)]
        while not self._stop.wait(self._dice.random() * 0.01):
            source, target = self._dice.sample(accounts, 2)
            self.acknowledged.append(self._bank.deposit(source, "2.00").transaction_id)
            self.acknowledged.append(self._bank.transfer(source, target, "1.00").transaction_id)
        connections.close_all()


class Victims:
    """Two relays, two consumers and a broker, each replaced after it was killed."""

    def __init__(self, kafka: Kafka, broker: RunningBroker) -> None:
        self._broker = broker
        start: Mapping[str, Callable[[], Process]] = {"relay": kafka.relay, "consumer": kafka.consumers}
        self._start = start
        self._running = {(kind, number): start[kind]() for kind in start for number in range(2)}

    def kill_one(self, dice: random.Random) -> str:
        """Kills one of them at random, and starts it again after a while; returns which it was."""
        victim = dice.choice([*self._running, ("broker", 0)])
        if victim[0] == "broker":
            self._broker.kill()
            time.sleep(dice.random() * 2)
            self._broker.start()
        else:
            self._running[victim].kill()
            time.sleep(dice.random())
            self._running[victim] = self._start[victim[0]]()
        return f"{victim[0]} {victim[1]}"


def content() -> list[object]:
    days = DailyBalance.objects.order_by("account_id", "day")
    return [
        list(Transaction.objects.order_by("pk").values()),
        list(JournalLine.objects.order_by("pk").values()),
        list(days.values("account_id", "day", "closing_balance", "credits", "debits", "postings", "version")),
    ]


@pytest.mark.timeout(150 + 25 * KILLS)
def test_whoever_is_killed_nothing_is_lost_and_nothing_doubled(
    db: None, own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"SEED={SEED} KILLS={KILLS}")  # noqa: T201
    dice, bank = random.Random(SEED), Bank()
    with Kafka.on(own_broker.settings, monkeypatch) as kafka:
        with Load(bank, random.Random(SEED)) as load:
            victims = Victims(kafka, own_broker)
            wait_for(Transaction.objects.exists)
            for _ in range(KILLS):
                time.sleep(dice.random() * 3)
                before = Event.objects.count()
                killed = victims.kill_one(dice)
                print(f"killed {killed}; {Event.objects.count() - before} events meanwhile")  # noqa: T201
        assert len(load.acknowledged) > 100, "too little happened for this to prove anything"
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
def test_relay_and_consumers_end_in_time_while_the_broker_is_dead(
    bank: Bank, own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within what systemd gives them (20 s); alone on the machine they need less than the launcher's 12."""
    with Kafka.on(own_broker.settings, monkeypatch) as kafka:
        relay, consumers = kafka.relay(), kafka.consumers()
        account = bank.open("1.00")
        wait_for(is_applied)
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
