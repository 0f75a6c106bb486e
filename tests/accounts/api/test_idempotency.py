"""The Idempotency-Key header: a command is executed at most once, however often it is sent."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connections

from eventstore.idempotency import IdempotencyKey
from eventstore.models import Event, IdempotencyRecord
from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.bank import Bank

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.mark.parametrize("key", [None, "a b", "x" * 256, "é", "\x7f", "a\tb"])
def test_a_command_needs_a_key_of_visible_ascii(api: Caller, bank: Bank, key: str | None) -> None:
    account_id = api.open()
    before = bank.footprint()

    for answer in (
        api.post(f"/accounts/{account_id}/deposits", BODY, key=key),
        api.post("/accounts", {"owner": "Ann", "currency": "EUR"}, key=key),
        api.post("/batches", {"commands": [{"command": "freeze", "account_id": account_id}]}, key=key),
    ):
        assert refusal(answer) == (400, "idempotency_key_required")
    assert bank.footprint() == before


def test_the_longest_key_works(api: Caller) -> None:
    account_id = api.open()
    freeze = {"commands": [{"command": "freeze", "account_id": account_id}]}

    assert api.post(f"/accounts/{account_id}/deposits", BODY, key="~" * 255).status_code == 200
    assert api.post("/batches", freeze, key="!" * 255).json()["outcomes"][0]["status"] == "executed"


def test_a_repeated_command_gets_the_first_answer_again(api: Caller, bank: Bank) -> None:
    """Row 2: there were no idempotency keys anywhere."""
    account_id = api.open()
    first = api.post(f"/accounts/{account_id}/deposits", BODY, key="k-1")
    api.post(f"/accounts/{account_id}/deposits", BODY)
    before = bank.footprint()

    again = api.post(f"/accounts/{account_id}/deposits", BODY, key="k-1")

    assert (again.status_code, again.content, again["ETag"]) == (first.status_code, first.content, first["ETag"])
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert bank.footprint() == before


def test_a_repeated_opening_answers_201_with_the_first_account(api: Caller, bank: Bank) -> None:
    body = {"owner": "Ann", "currency": "EUR", "opening_deposit": "5.00"}
    first = api.post("/accounts", body, key="o-1")
    before = bank.footprint()

    again = api.post("/accounts", body, key="o-1")

    assert (again.status_code, again.content) == (201, first.content)
    assert (again["Location"], again["Idempotent-Replayed"]) == (first["Location"], "true")
    assert bank.footprint() == before


def test_a_key_names_one_command_only(api: Caller, bank: Bank) -> None:
    """The complaint about another ledger: a key answered with another account's data."""
    ann, bob = api.open("5.00"), api.open("5.00")
    first = api.post(f"/accounts/{ann}/deposits", BODY, key="k-2").json()["transaction_id"]
    before = bank.footprint()

    others = [
        api.post(f"/accounts/{bob}/deposits", BODY, key="k-2"),
        api.post(f"/accounts/{ann}/deposits", BODY | {"amount": "2.00"}, key="k-2"),
        api.post(f"/accounts/{ann}/deposits", BODY | {"description": "x"}, key="k-2"),
        api.post(f"/accounts/{ann}/withdrawals", BODY, key="k-2"),
    ]

    for answer in others:
        assert refusal(answer) == (409, "idempotency_key_reused")
        assert (answer.json()["account_id"], answer.json()["transaction_id"]) == (ann, first)
    assert bank.footprint() == before


def test_a_body_that_means_the_same_is_the_same(api: Caller) -> None:
    account_id = api.open()
    api.post(f"/accounts/{account_id}/deposits", {"amount": "1", "currency": "EUR"}, key="k-3")

    again = api.post(
        f"/accounts/{account_id}/deposits/", b'{"currency":"EUR", "contra":"cash", "amount":"1.00"}', key="k-3"
    )

    assert again["Idempotent-Replayed"] == "true"


def test_a_refused_command_may_be_sent_again_with_its_key(api: Caller) -> None:
    account_id = api.open()
    assert api.post(f"/accounts/{account_id}/withdrawals", BODY, key="k-4").status_code == 422
    api.post(f"/accounts/{account_id}/deposits", BODY)

    assert api.post(f"/accounts/{account_id}/withdrawals", BODY, key="k-4").status_code == 200


def test_keys_belong_to_the_client_and_not_to_one_of_its_api_keys(api: Caller) -> None:
    account_id = api.open()
    rotated, other = new_caller(), new_caller("other", reach="all")
    api.post(f"/accounts/{account_id}/deposits", BODY, key="k-5")

    assert rotated.post(f"/accounts/{account_id}/deposits", BODY, key="k-5")["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in other.post(f"/accounts/{account_id}/deposits", BODY, key="k-5")
    assert api.balance(account_id) == "2.00"


def test_twenty_threads_with_one_key_have_one_effect(api: Caller) -> None:
    account_id = api.open()
    start = Barrier(20)

    def send(_: int) -> Any:
        try:
            caller = Caller(api.token, api.client)
            start.wait(timeout=30)
            return caller.post(f"/accounts/{account_id}/deposits", BODY, key="k-6")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))

    executed = [answer for answer in answers if answer.status_code == 200]
    waiting = [answer for answer in answers if answer.status_code != 200]
    assert len({answer.content for answer in executed}) == 1
    assert [answer.get("Idempotent-Replayed") for answer in executed].count(None) == 1
    for answer in waiting:
        assert refusal(answer) == (409, "command_in_progress")
        assert answer["Retry-After"] == "1"
    assert api.balance(account_id) == "1.00"
    assert Event.objects.filter(aggregate_id=account_id).count() == 2
    assert IdempotencyRecord.objects.filter(key="k-6").count() == 1
    assert api.post(f"/accounts/{account_id}/deposits", BODY, key="k-6").content == executed[0].content


def test_a_key_that_is_being_worked_on_answers_409_with_retry_after(
    api: Caller, bank: Bank, sweeper: psycopg.Connection
) -> None:
    account_id = api.open()
    before = bank.footprint()
    a, b = IdempotencyKey("client:acme", "k-7", bytes(32)).lock_pair()
    sweeper.execute("SELECT pg_advisory_lock(%s, %s)", (a, b))
    try:
        answer = api.post(f"/accounts/{account_id}/deposits", BODY, key="k-7")
    finally:
        sweeper.execute("SELECT pg_advisory_unlock(%s, %s)", (a, b))

    assert refusal(answer) == (409, "command_in_progress")
    assert answer["Retry-After"] == "1"
    assert bank.footprint() == before
    assert api.post(f"/accounts/{account_id}/deposits", BODY, key="k-7").status_code == 200
