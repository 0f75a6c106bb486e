"""Consumers share the shards: one dies, the others take over, one more joins, and no account is out of order."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from accounts.models import Transaction
from tests.bank import Bank
from tests.kafka import Kafka, Process, is_applied, wait_for

ACCOUNTS = 40


@pytest.fixture
def applied_order(sweeper: psycopg.Connection) -> Iterator[None]:
    """Has the database write down in which order, and by which of its sessions, statement lines are written."""
    sweeper.execute(
        """
        CREATE TABLE applied_order (number bigserial, account_id uuid, version bigint, session int);
        CREATE FUNCTION note_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO applied_order (account_id, version, session)
            VALUES (NEW.account_id, NEW.version, pg_backend_pid());
            RETURN NEW;
        END $$;
        CREATE TRIGGER note_order AFTER INSERT ON transactions FOR EACH ROW EXECUTE FUNCTION note_order();
        """
    )
    yield
    sweeper.execute("DROP TRIGGER note_order ON transactions; DROP FUNCTION note_order; DROP TABLE applied_order")


def out_of_order(sweeper: psycopg.Connection) -> int:
    """How many statement lines were written after a later one of their account."""
    row = sweeper.execute(
        "SELECT count(*) FROM (SELECT version - lag(version) OVER (PARTITION BY account_id ORDER BY number) AS step"
        " FROM applied_order) steps WHERE step <= 0"
    ).fetchone()
    assert row is not None
    return int(row[0])


def sessions(sweeper: psycopg.Connection, after: int = 0) -> int:
    row = sweeper.execute("SELECT count(DISTINCT session) FROM applied_order WHERE number > %s", [after]).fetchone()
    assert row is not None
    return int(row[0])


def lines(sweeper: psycopg.Connection) -> int:
    row = sweeper.execute("SELECT coalesce(max(number), 0) FROM applied_order").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def deposits(bank: Bank) -> Iterator[None]:
    """A teller who never rests."""
    stop = threading.Event()

    def run() -> None:
        accounts = [bank.open() for _ in range(ACCOUNTS)]
        while not stop.is_set():
            for account in accounts:
                bank.deposit(account, "1.00")
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("applied_order")
def test_row_11_one_of_two_consumers_dies_and_a_third_joins_and_each_account_stays_in_order(
    kafka: Kafka, bank: Bank, sweeper: psycopg.Connection
) -> None:
    """Row 11: batches went round-robin to workers, and the order within an account was lost."""
    with deposits(bank):
        kafka.relay()
        first = kafka.consumers()
        kafka.consumers()
        wait_for(lambda: sessions(sweeper) >= 2, 90)
        first.kill()
        at = lines(sweeper)
        wait_for(lambda: _accounts_moved(sweeper, at) == ACCOUNTS, 90)
        at = lines(sweeper)
        kafka.consumers()
        wait_for(lambda: sessions(sweeper, at) >= 2, 90)
    wait_for(is_applied, 90)

    assert out_of_order(sweeper) == 0
    # Counted, since the serial number has gaps where a killed consumer's transaction was rolled back.
    assert sweeper.execute("SELECT count(*) FROM applied_order").fetchone() == (Transaction.objects.count(),)
    call_command("verify_ledger")


def _accounts_moved(sweeper: psycopg.Connection, after: int) -> int:
    row = sweeper.execute(
        "SELECT count(DISTINCT account_id) FROM applied_order WHERE number > %s", [after]
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_worker_that_dies_is_replaced_and_none_outlives_its_command(kafka: Kafka, bank: Bank) -> None:
    kafka.relay()
    consumers = kafka.consumers(2)
    bank.deposit(bank.open(), "1.00")
    wait_for(is_applied)
    first = workers_of(consumers)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)

    wait_for(lambda: len(set(workers_of(consumers)) - {first[0]}) == 2)
    second = workers_of(consumers)
    bank.deposit(bank.open(), "1.00")
    wait_for(is_applied)
    consumers.signal(signal.SIGKILL)  # the command alone: its workers are in groups of their own
    wait_for(lambda: not any(is_running(pid) for pid in second), 30)


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended: one that nobody has collected yet has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def workers_of(process: Process) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(pid) for pid in text.split()]
