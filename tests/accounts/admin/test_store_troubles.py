"""When the database is late or lost, the page says plainly what is known, and the same form settles it."""

import os
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.test import Client

from tests.accounts.admin.forms import errors, form_of
from tests.bank import Bank
from tests.outages import lose_the_next_commit


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
    bank: Bank, teller: Client, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/admin/accounts/account/{(ann := bank.open('1.00'))}/deposit/"
    form = {**form_of(teller, url), "amount": "5.00", "reason": "it broke under way"}
    lose_the_next_commit(monkeypatch, sweeper)

    answer = teller.post(url, form)

    assert answer.status_code == 503
    assert "Send this form again as it is" in errors(answer)["__all__"][0]
    assert answer.context["form"]["idempotency_key"].value() == form["idempotency_key"]
    for _ in range(2):
        assert teller.post(url, form).status_code == 302
    assert bank.balance(ann) == 600
