"""When the database is late or lost, the caller is told the truth: nothing was done, or it is not known."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection, connections

from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank
from tests.outages import lose_the_next_commit
from tests.pools import all_connections_taken

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def holder(bank: Bank) -> Iterator[psycopg.Connection]:
    """Another writer of the bank, that can sit on a stream."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as conn:
        yield conn
        conn.rollback()


@pytest.fixture
def impatient(bank: Bank) -> Iterator[None]:
    """This thread waits for no lock longer than 150 milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '150ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")  # the session goes back to the pool


def sit_on(holder: psycopg.Connection, account_id: str) -> None:
    holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (account_id,))


@pytest.mark.parametrize("way", ["single", "batch"])
def test_a_command_that_gets_no_lock_in_time_says_so_and_never_happens(
    api: Caller, bank: Bank, holder: psycopg.Connection, impatient: None, way: str
) -> None:
    """Row 19: the batch API reported "timed out" and then posted all the same."""
    account_id = api.open()
    before = bank.footprint()
    sit_on(holder, account_id)
    if way == "single":
        answer = api.post(f"/accounts/{account_id}/deposits", BODY)
    else:
        answer = api.post("/batches", {"commands": [{"command": "deposit", "account_id": account_id, **BODY}]})
    holder.rollback()
    time.sleep(0.5)

    assert refusal(answer) == (503, "overloaded")
    assert answer["Retry-After"] == "1"
    assert bank.footprint() == before


def test_a_connection_lost_before_the_commit_is_told_as_nothing_done(
    api: Caller, bank: Bank, holder: psycopg.Connection, sweeper: psycopg.Connection
) -> None:
    account_id = api.open()
    sit_on(holder, account_id)

    def send() -> Any:
        try:
            return Caller(api.token, api.client).post(f"/accounts/{account_id}/deposits", BODY, key="lost")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        _terminate_who_waits(sweeper)
        answer = sent.result(timeout=30)
    holder.rollback()

    assert refusal(answer) == (503, "overloaded")
    assert answer["Retry-After"] == "1"
    assert api.balance(account_id) == "0.00"
    assert api.post(f"/accounts/{account_id}/deposits", BODY, key="lost").status_code == 200
    assert api.balance(account_id) == "1.00"


def test_a_connection_lost_at_the_commit_is_told_as_unknown_and_the_key_settles_it(
    api: Caller, bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 2: a command that had timed out was executed again."""
    account_id = api.open()
    lose_the_next_commit(monkeypatch, sweeper)
    answer = api.post(f"/accounts/{account_id}/deposits", BODY, key="lost")

    assert refusal(answer) == (503, "outcome_unknown")
    assert answer["Retry-After"] == "1"
    assert [api.post(f"/accounts/{account_id}/deposits", BODY, key="lost").status_code for _ in range(2)] == [
        200,
        200,
    ]
    assert api.balance(account_id) == "1.00"


def _terminate_who_waits(sweeper: psycopg.Connection) -> None:
    """Ends the session that waits for a lock, once there is one."""
    waiting = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'bankes:%' AND wait_event_type = 'Lock'"
    )
    for _ in range(100):
        if row := sweeper.execute(waiting).fetchone():
            sweeper.execute("SELECT pg_terminate_backend(%s)", row)
            return
        time.sleep(0.05)
    raise AssertionError("nobody waited for the lock")


@pytest.fixture
def exhausted_pool(api: Caller) -> Iterator[None]:
    """All connections of this process are in use; the wait for one is cut short."""
    with all_connections_taken(patience=0.2):
        yield


def test_an_exhausted_pool_is_503_for_reads_and_writes(api: Caller, request: pytest.FixtureRequest) -> None:
    account_id = api.open()
    request.getfixturevalue("exhausted_pool")

    answers = [api.get(f"/accounts/{account_id}"), api.post(f"/accounts/{account_id}/deposits", BODY)]

    assert [refusal(answer) for answer in answers] == [(503, "overloaded")] * 2
    assert [answer["Retry-After"] for answer in answers] == ["1", "1"]


def test_a_read_that_takes_too_long_is_503(api: Caller, impatient: None) -> None:
    account_id = api.open()
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as blocker:
        blocker.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        answer = api.get(f"/accounts/{account_id}")

    assert refusal(answer) == (503, "overloaded")
