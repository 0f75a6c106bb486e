"""Accounts in the cache: what is kept of one, and that reading through it shows what the books say."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields
from uuid import UUID

import orjson
import psycopg
import pytest
import redis
from django.core.management import call_command
from django.db import connection, transaction
from django_redis import get_redis_connection

from accounts import cache, selectors
from accounts.cache import CODEC, SCHEMA, AccountView, accounts_cache, popularity
from accounts.domain.errors import Refusal
from accounts.models import Account
from eventstore.events import new_id
from ops.cache.documents import Document, Unreadable
from tests.bank import Bank
from tests.statements import Since, counted


@pytest.fixture(autouse=True)
def fresh_cache(db: None) -> Iterator[None]:
    accounts_cache().clear_local()
    popularity().flush()
    get_redis_connection("tiered").delete("account-uses")
    yield
    accounts_cache().clear_local()


@pytest.fixture
def client() -> redis.Redis:
    connected: redis.Redis = get_redis_connection("tiered")
    return connected


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> Since:
    return counted(monkeypatch)


def row(account_id: UUID) -> dict[str, object]:
    return Account.objects.values().get(id=account_id)


def as_row(view: AccountView) -> dict[str, object]:
    return {field.name: getattr(view, field.name) for field in fields(view)}


def test_what_is_read_through_the_cache_is_the_row(bank: Bank) -> None:
    account_id = bank.open("10.00", overdraft="5.00")
    for act in (bank.freeze, bank.unfreeze, lambda a: bank.deposit(a, "1.00"), lambda a: bank.limit(a, "7.00")):
        act(account_id)
        for _ in range(2):
            found = cache.account(account_id)
            assert found is not None
            assert as_row(found) == row(account_id)
            assert found.available == Account.objects.get(id=account_id).available


def test_the_shape_of_what_is_kept_changes_only_with_its_schema() -> None:
    """Whoever changes the fields raises SCHEMA: other processes may still run the code of before."""
    shape = {field.name: field.type.__name__ for field in fields(AccountView)}  # type: ignore[union-attr]
    assert (SCHEMA, shape) == (
        "account/1",
        {
            "id": "UUID",
            "owner": "str",
            "currency": "str",
            "product": "str",
            "custodian": "str",
            "overdraft_limit": "int",
            "status": "Status",
            "balance": "int",
            "held": "int",
            "version": "int",
            "opened_at": "datetime",
            "updated_at": "datetime",
        },
    )
    assert set(shape) == {field.name for field in Account._meta.fields}


def test_an_account_survives_the_way_through_redis(bank: Bank) -> None:
    found = cache.account(bank.open("10.00", owner="Zoë “Z” Ånström"))
    assert found is not None
    key, document = str(found.id), Document(found.version, found)
    assert CODEC.decode(key, found.version, CODEC.encode(key, document)) == document


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "x"),
        ("balance", "1000"),
        ("balance", 10.5),
        ("status", "unheard"),
        ("opened_at", "yesterday"),
        ("owner", None),
        ("surplus", 1),
    ],
)
def test_a_damaged_account_is_unreadable(bank: Bank, name: str, value: object) -> None:
    found = cache.account(bank.open("10.00"))
    assert found is not None
    envelope = orjson.loads(CODEC.encode(str(found.id), Document(found.version, found)))
    envelope["value"][name] = value
    with pytest.raises(Unreadable):
        CODEC.decode(str(found.id), found.version, orjson.dumps(envelope))


def test_nobody_can_alter_what_others_will_read(bank: Bank) -> None:
    found = cache.account(bank.open("10.00"))
    assert found is not None
    with pytest.raises(FrozenInstanceError):
        found.balance = 1  # type: ignore[misc]


def test_a_read_costs_one_lookup_two_after_a_change_and_none_for_who_states_what_it_saw(
    bank: Bank, queries: Since
) -> None:
    account_id = bank.open("10.00")
    queries()
    costs = []
    for read in (
        lambda: cache.account(account_id),
        lambda: cache.account(account_id),
        lambda: cache.account(account_id, at_least=2),
        lambda: cache.account(account_id, at_least=1),
    ):
        read()
        costs.append(queries())
    assert costs == [1, 1, 0, 0]

    bank.deposit(account_id, "1.00")
    queries()
    assert cache.account(account_id).version == 3  # type: ignore[union-attr]
    assert queries() == 2
    for expected in (1, 0):  # the first such reader, of all processes, brings it to Redis
        accounts_cache().clear_local()
        assert cache.account(account_id, at_least=3).version == 3  # type: ignore[union-attr]
        assert queries() == expected


def test_an_account_that_is_opened_after_it_was_looked_for_is_found(bank: Bank, queries: Since) -> None:
    from accounts.domain.commands import OpenAccount

    account_id = new_id()
    for at_least in (None, 1, None, 1):
        assert cache.account(account_id, at_least=at_least) is None
    bank.do(OpenAccount(account_id, "Ann", "EUR"))
    assert cache.account(account_id, at_least=1).version == 1  # type: ignore[union-attr]
    assert cache.account(account_id).version == 1  # type: ignore[union-attr]


def test_a_row_that_was_altered_or_repaired_at_the_same_version_is_read_as_it_is(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    account_id = bank.open("10.00")
    cache.account(account_id)
    sweeper.execute("UPDATE accounts SET balance = 7")
    assert cache.account(account_id).balance == 7  # type: ignore[union-attr]
    call_command("rebuild_projection", "accounts")
    assert cache.account(account_id).balance == 1000  # type: ignore[union-attr]


def test_what_a_transaction_has_not_committed_is_shown_to_itself_alone(bank: Bank, client: redis.Redis) -> None:
    account_id = bank.open("10.00")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts SET balance = 7, version = 99 WHERE id = %s", [account_id])
        assert cache.account(account_id).balance == 7  # type: ignore[union-attr]
        transaction.set_rollback(True)
    assert cache.account(account_id, at_least=1).balance == 1000  # type: ignore[union-attr]
    assert not client.exists(f"account:{account_id}:v99")


def test_accounts_out_of_a_readers_care_stay_hidden_also_when_cached(bank: Bank) -> None:
    account_id = bank.open("10.00", custodian="client:acme")
    assert selectors.account(account_id, None).version == selectors.account(account_id, "client:acme").version
    for at_least in (None, 1):
        with pytest.raises(Refusal) as refused:
            selectors.account(account_id, "client:other", at_least=at_least)
        with pytest.raises(Refusal) as missing:
            selectors.account(nowhere := new_id(), "client:other", at_least=at_least)
        assert refused.value.message.replace(str(account_id), "?") == missing.value.message.replace(str(nowhere), "?")


def test_reads_are_counted_and_looks_at_what_does_not_exist_are_not(bank: Bank) -> None:
    often, once = bank.open(), bank.open()
    for account_id in (often, once, often, new_id()):
        cache.account(account_id)
    popularity().flush()
    assert popularity().most_used(10) == [str(often), str(once)]
