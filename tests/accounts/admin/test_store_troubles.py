"""When the database is late or lost, the page says plainly what is known, and the same form settles it."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client

from tests.accounts.admin.forms import errors, form_of
from tests.bank import Bank


@pytest.fixture
def holder(bank: Bank) -> Iterator[psycopg.Connection]:
    """Another writer of the bank, that can sit on a stream."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as conn:
        yield conn
        conn.rollback()


def sit_on(holder: psycopg.Connection, account_id: UUID) -> None:
    holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (account_id,))


def test_a_lock_that_is_not_to_be_had_is_told_and_nothing_happens(
    bank: Bank, teller: Client, holder: psycopg.Connection
) -> None:
    url = f"/admin/accounts/account/{(ann := bank.open('1.00'))}/deposit/"
    form = {**form_of(teller, url), "amount": "5.00", "reason": "in a hurry"}
    before = bank.footprint()
    sit_on(holder, ann)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '150ms'")

    answer = teller.post(url, form)

    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")  # the session goes back to the pool
    holder.rollback()
    assert answer.status_code == 503
    assert errors(answer)["__all__"][0].startswith("The bank is busy")
    assert bank.footprint() == before
    assert teller.post(url, form).status_code == 302
    assert bank.balance(ann) == 600


def test_an_unknown_outcome_is_told_as_such_and_the_same_form_settles_it(
    bank: Bank, teller: Client, holder: psycopg.Connection, sweeper: psycopg.Connection
) -> None:
    url = f"/admin/accounts/account/{(ann := bank.open('1.00'))}/deposit/"
    form = {**form_of(teller, url), "amount": "5.00", "reason": "it broke under way"}
    sit_on(holder, ann)

    def post() -> Any:
        try:
            return teller.post(url, form)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(post)
        end_whoever_waits(sweeper)
        answer = sent.result(timeout=30)
    holder.rollback()

    assert answer.status_code == 503
    assert "Send this form again as it is" in errors(answer)["__all__"][0]
    assert answer.context["form"]["idempotency_key"].value() == form["idempotency_key"]
    for _ in range(2):
        assert teller.post(url, form).status_code == 302
    assert bank.balance(ann) == 600


def end_whoever_waits(sweeper: psycopg.Connection) -> None:
    """Ends the session that waits for a lock, once there is one."""
    waiting = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'bankes:%' AND wait_event_type = 'Lock'"
    )
    for _ in range(200):
        if row := sweeper.execute(waiting).fetchone():
            sweeper.execute("SELECT pg_terminate_backend(%s)", row)
            return
        time.sleep(0.05)
    raise AssertionError("nobody waited for the lock")
