"""The idempotency desk: a key is looked up by client and key, and all that is known of it is told."""

import html
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from accounts.roles import ROLES
from eventstore import cleanup
from eventstore.models import IdempotencyRecord
from eventstore.retries import retries_of
from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank
from tests.staff import make_staff, signed_in

LIST = "/admin/eventstore/idempotencyrecord/"
BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def api(db: None) -> Caller:
    return new_caller("acme")


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def page_of(client: Client, scope: str, key: str) -> Any:
    return client.get(f"{LIST}record/?{urlencode({'scope': scope, 'key': key})}")


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(html.unescape(answer.content.decode()).split())


def fact(answer: Any, name: str) -> str:
    return str(dict(answer.context["facts"])[name])


def deposit(api: Caller, key: str, amount: str = "1.00") -> Any:
    return api.post(f"/accounts/{api.account}/deposits", {**BODY, "amount": amount}, key=key)  # type: ignore[attr-defined]


@pytest.fixture
def account(api: Caller) -> str:
    api.account = api.open()  # type: ignore[attr-defined]
    return str(api.account)  # type: ignore[attr-defined]


def test_a_client_and_a_key_lead_to_the_answer_the_transaction_and_the_account(
    api: Caller, account: str, operator: Client
) -> None:
    answer = deposit(api, "order 7/ä&=".encode("ascii", "ignore").decode().replace(" ", "-"))
    record = IdempotencyRecord.objects.get(key="order-7/&=")

    found = text(operator.get(f"{LIST}?scope=acme&key={urlencode({'': record.key})[1:]}"))
    page = page_of(operator, "client:acme", record.key)

    assert f"{LIST}record/?{urlencode({'scope': 'client:acme', 'key': record.key})}" in found
    told = text(page)
    assert f"/admin/accounts/transaction/of/{answer.json()['transaction_id']}/" in told
    assert f"/admin/accounts/account/{account}/change/" in told
    assert bytes(record.fingerprint).hex() in told
    assert '"balance": 100' in told, "the first answer"
    assert "MoneyDeposited" in told or "Deposited" in told
    assert fact(page, "Sent by") == "client:acme"
    assert fact(page, "Came again") == "never"


def test_it_tells_when_the_key_is_forgotten(
    api: Caller, account: str, operator: Client, sweeper: psycopg.Connection
) -> None:
    deposit(api, "k")
    record = IdempotencyRecord.objects.get(key="k")

    expires = (record.created_at + timedelta(hours=48)).strftime("%Y-%m-%d %H:%M:%S")
    assert expires in fact(page_of(operator, "client:acme", "k"), "Forgotten after (UTC)")

    sweeper.execute("UPDATE idempotency_records SET created_at = created_at - %s", (timedelta(hours=49),))
    assert "next cleanup" in fact(page_of(operator, "client:acme", "k"), "Forgotten after (UTC)")


def test_retries_are_counted_with_those_that_were_of_another_request(
    api: Caller, account: str, operator: Client, bank: Bank
) -> None:
    deposit(api, "k")
    before = bank.footprint()
    for _ in range(3):
        assert deposit(api, "k").status_code == 200
    assert deposit(api, "k", "2.00").status_code == 409

    page = page_of(operator, "client:acme", "k")

    assert fact(page, "Came again") == "3 times, and got the first answer"
    assert "once: refused" in fact(page, "Came with another request")
    assert bank.footprint() == before


def test_a_batch_counts_its_keys_and_a_new_command_counts_nothing(api: Caller, account: str, bank: Bank) -> None:
    commands = [{"command": "deposit", "account_id": account, **BODY} for _ in range(2)]
    api.post("/batches", {"commands": commands}, key="night")
    first = IdempotencyRecord.objects.get(key="night:0").command_id
    assert retries_of(first) is None

    api.post("/batches", {"commands": [*commands, commands[0]]}, key="night")

    assert (found := retries_of(first)) is not None
    assert (found.replays, found.mismatches) == (1, 0)
    assert retries_of(IdempotencyRecord.objects.get(key="night:2").command_id) is None


def test_the_cleanup_forgets_the_counts_with_the_keys(api: Caller, account: str, sweeper: psycopg.Connection) -> None:
    for _ in range(2):
        deposit(api, "k")
    command = IdempotencyRecord.objects.get(key="k").command_id
    cleanup.cleanup()
    assert retries_of(command) is not None

    for table, column in (("idempotency_records", "created_at"), ("idempotency_retries", "last_at")):
        sweeper.execute(f"UPDATE {table} SET {column} = %s", (timezone.now() - timedelta(hours=49),))
    cleanup.cleanup()

    assert retries_of(command) is None
    assert not IdempotencyRecord.objects.filter(key="k").exists()


def test_where_there_is_none_it_says_how_to_find_a_key(db: None, operator: Client) -> None:
    told = text(operator.get(f"{LIST}?scope=acme&key=nonsense"))

    assert "header Idempotency-Key" in told
    assert "more than 48 hours ago" in told
    assert page_of(operator, "client:acme", "nonsense").status_code == 404
    assert page_of(operator, "client:acme\x00", "x").status_code == 404
    assert operator.get(f"{LIST}record/").headers["Location"] == LIST


def test_a_key_alone_is_not_looked_for_in_the_whole_table(db: None, operator: Client) -> None:
    assert "Give the client of the key too" in text(operator.get(f"{LIST}?key=k"))


@pytest.mark.parametrize("role", sorted(ROLES))
def test_who_may_see_the_list_may_see_a_key(api: Caller, account: str, role: str) -> None:
    deposit(api, "k")
    client = signed_in(make_staff(role))
    allowed = "eventstore.view_idempotencyrecord" in ROLES[role]

    assert page_of(client, "client:acme", "k").status_code == (200 if allowed else 403)
    assert client.post(f"{LIST}record/?scope=client:acme&key=k").status_code == (405 if allowed else 403)
