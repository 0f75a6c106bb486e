"""Figures of relay and consumers, each beside a bare confluent-kafka loop in the same run: `make bench`.

EVENTS (default 50,000), ROUNDS (3; thrice as many of the relay) and SECONDS (15) of the steady load come from the
environment. Medians of the rounds are printed; the rounds of the two sides alternate, so that a busy machine is busy
for both.
"""

import multiprocessing
import os
import secrets
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import django
import psycopg
from confluent_kafka import TopicPartition

django.setup()

from django.db import connection, connections  # noqa: E402

from accounts.domain.commands import Deposit, OpenAccount  # noqa: E402
from accounts.services import Executed, execute  # noqa: E402
from eventstore import projections  # noqa: E402
from eventstore.events import new_id  # noqa: E402
from eventstore.kafka import clients, lease, topics  # noqa: E402
from eventstore.kafka.consumer import Member  # noqa: E402
from eventstore.kafka.messages import Row, message_of  # noqa: E402
from eventstore.kafka.reading import Reader  # noqa: E402
from eventstore.kafka.term import Term  # noqa: E402
from eventstore.projections.base import Projection  # noqa: E402
from eventstore.projections.runner import Runner  # noqa: E402
from ops.conf import get_settings  # noqa: E402
from ops.embedded import kafka as launcher  # noqa: E402
from ops.process import collect_rarely  # noqa: E402
from tests.bank import Bank  # noqa: E402
from tests.kafka import Process, delete_topics, is_applied, reader, wait_for  # noqa: E402

EVENTS = int(os.environ.get("EVENTS") or 50_000)
ROUNDS = int(os.environ.get("ROUNDS") or 3)
SECONDS = int(os.environ.get("SECONDS") or 15)
STEADY = 500
"""Events a second while the lag is measured."""
SETTLES = 1.0
RELAY_ROUNDS = 3 * ROUNDS
"""Each takes a second, and they differ more than those of the consumers."""
BATCHES = (250, 5000)
"""Messages a consumer takes at once: the default setting, and one for replays."""


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    collect_rarely()  # as the services do; for the bare loops too
    if missing := launcher.missing(os.environ):
        raise SystemExit(f"These figures need a real Kafka: install {' and '.join(missing)}.")
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as database:
        database.execute("SET session_replication_role = replica")
        empty(database)
        load(EVENTS)
        database.execute("ANALYZE")
        rows = all_rows()
        size = statistics.mean(len(message_of(row, "0")[1]) for row in rows)
        say(f"{len(rows)} events of {size:.0f} bytes in {get_settings().shard_count} partitions; medians of {ROUNDS}")
        relay_figures(rows)
        consumer_figures(database, len(rows))
        empty(database)
        lag_figures(database)


def empty(database: psycopg.Connection) -> None:
    for table in ("events", "streams", "accounts", "idempotency_records", "transactions", "journal_lines",
                  "daily_balances", "snapshots", "projections", "projection_checkpoints", "relay_state"):  # fmt: skip
        database.execute(f'DELETE FROM "{table}"')


def load(events: int) -> None:
    """A tenth of the events open accounts, nine tenths are deposits."""
    bank = Bank()
    accounts = [new_id() for _ in range(events // 10)]
    for start in range(0, len(accounts), 500):
        some = accounts[start : start + 500]
        execute([bank.envelope(OpenAccount(account, "Ann", "EUR")) for account in some])
        for _ in range(9):
            execute([bank.envelope(Deposit(account, bank.money("10.00"))) for account in some])


def all_rows() -> list[Row]:
    source, rows = Reader(0), []
    while some := source.next()[0]:
        rows += some
    source.close()
    return rows


def fresh_topic() -> str:
    """New topics and a new group, as this process's settings; returned when the broker has come to rest, so that
    nobody's figure pays for the partitions that it makes and removes."""
    if "KAFKA_TOPIC" in os.environ:
        delete_topics()
    mark = secrets.token_hex(4)
    os.environ |= {
        "KAFKA_TOPIC": f"bench-{mark}",
        "KAFKA_DEAD_LETTER_TOPIC": f"bench-letters-{mark}",
        "KAFKA_GROUP_ID": f"bench-{mark}",
    }
    get_settings.cache_clear()
    topics.ensure_topics(get_settings().shard_count)
    time.sleep(SETTLES)
    return get_settings().kafka_topic


def per_second(count: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def relay_figures(rows: list[Row]) -> None:
    kinds = {
        "the same messages, each reported": (True, True),
        "the same messages, failures reported": (True, False),
        "without headers, failures reported": (False, False),
    }
    bare: dict[str, list[float]] = {name: [] for name in kinds}
    relay = []
    for _ in range(2):  # a broker that has just started is slow, whoever writes to it
        bare_producer(rows, True, False)
    for _ in range(RELAY_ROUNDS):
        for name, (with_headers, each_reported) in kinds.items():
            bare[name].append(bare_producer(rows, with_headers, each_reported))
        relay.append(relay_rate(len(rows)))
    median = statistics.median(relay)
    say(f"relay{'':<45} {median:>9,.0f} events/s   medians of {RELAY_ROUNDS}")
    for name, rates in bare.items():
        figure = statistics.median(rates)
        say(f"bare producer, {name:<36} {figure:>8,.0f} events/s   relay {median / figure:.2f} of it (goal 0.50)")


def bare_producer(rows: list[Row], with_headers: bool, each_reported: bool) -> float:
    """Ready-made messages in a loop, until all are confirmed."""
    topic, shards = fresh_topic(), get_settings().shard_count
    failed: list[object] = []
    confirmed = [0]

    def delivered(error: object, _message: object) -> None:
        failed.extend([error] if error else [])
        confirmed[0] += 1

    def ready_made(row: Row) -> tuple[str, str, int, dict[str, Any]]:
        key, value, headers = message_of(row, "0")
        return value, key, zlib.crc32(row[1]) % shards, {"headers": headers} if with_headers else {}

    messages = [ready_made(row) for row in rows]
    producer = clients.producer(**{"on_delivery": delivered, "delivery.report.only.error": not each_reported})
    producer.list_topics(topic, timeout=15)

    def produce() -> None:
        for number, (value, key, shard, extra) in enumerate(messages):
            while True:
                try:
                    producer.produce(topic, value, key, shard, **extra)
                    break
                except BufferError:
                    producer.poll(0.01)
            if number % 1000 == 0:
                producer.poll(0)
        while len(producer):
            producer.poll(0.002)

    rate = per_second(len(rows), produce)
    assert not failed
    assert confirmed[0] == (len(rows) if each_reported else 0)
    return rate


def relay_rate(events: int) -> float:
    """From PostgreSQL to the noted checkpoint."""
    taken = lease.take(fresh_topic(), "bench", get_settings().shard_count)
    assert taken is not None
    with Term(taken, get_settings().shard_count) as term:
        term._producer.list_topics(taken.topic, timeout=15)  # connected, as the bare producer is

        def carry() -> None:
            done = 0
            while done < events:
                done += term.step()
            while term.step():
                pass  # the last one finds nothing, and confirms

        return per_second(events, carry)


def consumer_figures(database: psycopg.Connection, events: int) -> None:
    relay_rate(events)
    topic, transactions = get_settings().kafka_topic, projections.get("transactions")
    assert isinstance(transactions, Projection)
    Runner(transactions)
    bare, copied = [], []
    applied: dict[tuple[int, int], list[float]] = {(size, workers): [] for size in BATCHES for workers in (1, 2)}
    for _ in range(ROUNDS):
        bare.append(bare_consumer(topic, events))
        for size, workers in applied:
            applied[size, workers].append(consumer_rate(database, transactions, events, size, workers))
        copied.append(copy_rate(database))
    say(f"bare consumer{'':<30} {statistics.median(bare):>9,.0f} events/s")
    copy = statistics.median(copied)
    say(f"COPY of the same rows into transactions     {copy:>9,.0f} rows/s")
    for (size, workers), rates in applied.items():
        figure = statistics.median(rates)
        name = f"{workers} consumer{'s' * (workers > 1)} into transactions, batches of {size}"
        say(f"{name:<43} {figure:>9,.0f} events/s   {figure / copy:.2f} of COPY (goal 0.50, or 50,000 events/s)")


def bare_consumer(topic: str, events: int) -> float:
    with reader(topic) as consumer:
        taken = len(consumer.consume(1, timeout=15))  # connected

        def take() -> None:
            nonlocal taken
            while taken < events:
                taken += len(consumer.consume(1000, timeout=0.2))

        return per_second(events, take)


def consumer_rate(
    database: psycopg.Connection, projection: Projection[Any], events: int, size: int, workers: int
) -> float:
    """From the first batch of each worker, a process with its part of the shards, to the last event."""
    database.execute("DELETE FROM transactions")
    database.execute("UPDATE projection_checkpoints SET position = 0 WHERE projection = 'transactions'")
    database.execute("VACUUM ANALYZE transactions")
    os.environ |= {"KAFKA_CONSUMER_MAX_POLL_RECORDS": str(size), "KAFKA_GROUP_ID": f"bench-{secrets.token_hex(4)}"}
    get_settings.cache_clear()
    context = multiprocessing.get_context("spawn")
    begin, counts = context.Barrier(workers + 1), [context.Value("q", 0) for _ in range(workers)]
    processes = [
        context.Process(target=consume, args=(projection.name, number, workers, begin, count))
        for number, count in enumerate(counts)
    ]
    for process in processes:
        process.start()
    try:
        begin.wait(60)
        started, rest = time.perf_counter(), events - sum(count.value for count in counts)
        while sum(count.value for count in counts) < events:
            assert time.perf_counter() < started + 120
            time.sleep(0.002)
        return rest / (time.perf_counter() - started)
    finally:
        for process in processes:
            process.terminate()
            process.join(10)


def consume(name: str, number: int, workers: int, begin: Any, count: Any) -> None:
    collect_rarely()
    projection = projections.get(name)
    assert isinstance(projection, Projection)
    member = Member([projection], threading.Event())
    member.owned = set(range(number, member.shards, workers))
    member._consumer = (
        clients.consumer()
    )  # the group's own division would come seconds later, and not at once for all
    member._consumer.assign([TopicPartition(get_settings().kafka_topic, shard, 0) for shard in member.owned])
    while not count.value:
        count.value += member.turn()
    begin.wait(60)
    while True:
        count.value += member.turn()


def copy_rate(database: psycopg.Connection) -> float:
    """What PostgreSQL itself can take: the same rows, from a file of text in memory."""
    with database.cursor() as cursor:
        with cursor.copy("COPY transactions TO STDOUT") as copy:
            data = [bytes(block) for block in copy]
        lines = b"".join(data).count(b"\n")
        database.execute("DELETE FROM transactions")
        database.execute("VACUUM transactions")

        def write() -> None:
            with database.transaction(), cursor.copy("COPY transactions FROM STDIN") as copy:
                for block in data:
                    copy.write(block)

        return per_second(lines, write)


def lag_figures(database: psycopg.Connection) -> None:
    fresh_topic()
    os.environ.pop("KAFKA_CONSUMER_MAX_POLL_RECORDS", None)
    get_settings.cache_clear()
    processes = [Process("run_relay"), Process("consume_events", "--workers", "2")]
    try:
        with seen_transactions(database) as seen:
            accounts = [Bank().open() for _ in range(200)]
            steady_load(accounts, 10)  # until both consumers have joined
            wait_for(is_applied)
            written = steady_load(accounts, SECONDS)
            wait_for(is_applied)
            time.sleep(0.1)
        lags = sorted(1000 * (seen[position] - at) for position, at in written.items())
        p50, p99 = lags[len(lags) // 2], lags[int(len(lags) * 0.99)]
        rate = len(lags) / SECONDS
        say(f"lag at {rate:.0f} events/s: p50 {p50:.0f}, p99 {p99:.0f}, most {lags[-1]:.0f} ms (goal: p99 below 250)")
    finally:
        for process in processes:
            process.stop()


def steady_load(accounts: list[UUID], seconds: float) -> dict[int, float]:
    """Deposits at a steady rate, ten at once; by position, when each was acknowledged."""
    bank, acknowledged = Bank(), {}
    began = time.monotonic()
    for number in range(int(seconds * STEADY / 10)):
        time.sleep(max(0.0, began + number * 10 / STEADY - time.monotonic()))
        some = [accounts[(number * 10 + index) % len(accounts)] for index in range(10)]
        outcomes = execute([bank.envelope(Deposit(account, bank.money("1.00"))) for account in some])
        at = time.time()
        ids = [outcome.transaction_id for outcome in outcomes if isinstance(outcome, Executed)]
        with connection.cursor() as cursor:
            cursor.execute("SELECT position FROM events WHERE command_id = ANY (%s)", (ids,))
            acknowledged |= {position: at for (position,) in cursor.fetchall()}
    return acknowledged


@contextmanager
def seen_transactions(database: psycopg.Connection) -> Iterator[dict[int, float]]:
    """By position, when a reader first saw the statement line, to some 5 ms."""
    database.execute(
        """
        CREATE TABLE bench_seen (position bigint);
        CREATE FUNCTION bench_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN INSERT INTO bench_seen VALUES (NEW.position); RETURN NEW; END';
        CREATE TRIGGER bench_note AFTER INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION bench_note();
        """
    )
    seen: dict[int, float] = {}
    stop = threading.Event()

    def watch() -> None:
        with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as watcher:
            while not stop.wait(0.005):
                found = watcher.execute("DELETE FROM bench_seen RETURNING position").fetchall()
                now = time.time()
                seen.update((position, now) for (position,) in found)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        database.execute("DROP TRIGGER bench_note ON transactions; DROP FUNCTION bench_note; DROP TABLE bench_seen")


if __name__ == "__main__":
    try:
        main()
    finally:
        connections.close_all()
