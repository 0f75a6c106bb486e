"""Accounts that are asked for together are read together, each as it is after it was asked for."""

import queue
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction

from accounts import cache
from accounts.reading import Reads
from tests.bank import Bank
from tests.statements import counted

pytestmark = pytest.mark.usefixtures("db")


def read(reads: Reads, ids: list[UUID]) -> list[Any]:
    told: queue.Queue[tuple[int, Any]] = queue.Queue()
    for number, account_id in enumerate(ids):
        reads.begin(account_id, lambda became, number=number: told.put((number, became)))
    answers = dict(told.get(timeout=10) for _ in ids)
    assert told.empty()
    return [answers[number] for number in range(len(ids))]


def test_each_asker_gets_the_account_that_it_asked_for(bank: Bank) -> None:
    ids = [bank.open(f"{number}.00") for number in range(1, 9)]
    stranger = uuid4()
    found = read(Reads(), [*ids, stranger, ids[0], *reversed(ids)])
    assert [view and view.balance for view in found] == [
        *range(100, 900, 100), None, 100, *range(800, 0, -100)
    ]  # fmt: skip


def test_what_was_acknowledged_before_is_seen(bank: Bank) -> None:
    """Also by a process that has read the account before, and where nothing but its limit has changed."""
    reads, account_id = Reads(), bank.open()
    for number in range(1, 30):
        bank.deposit(account_id, "0.01")
        assert read(reads, [account_id])[0].balance == number
    bank.limit(account_id, "5.00")
    assert read(reads, [account_id])[0].available == 529


def test_a_repair_that_leaves_the_version_alone_is_seen(bank: Bank, db: None) -> None:
    account_id = bank.open("1.00")
    assert cache.accounts({account_id})[account_id].owner != "put right"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts SET owner = 'put right' WHERE id = %s", [account_id])
    assert cache.accounts({account_id})[account_id].owner == "put right"


def test_several_are_one_statement(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {bank.open() for _ in range(20)}
    cache.accounts(ids)
    since = counted(monkeypatch)
    assert len(cache.accounts(ids)) == 20
    assert since() == 1


def test_within_a_transaction_it_is_refused(bank: Bank) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        cache.accounts({uuid4()})


def test_who_asks_while_a_read_is_under_way_is_served_by_the_next(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, reads = bank.open(), Reads()
    entered, gate, real = threading.Event(), threading.Event(), cache.accounts

    def slow(ids: Any) -> Any:
        found = real(ids)
        entered.set()
        gate.wait(10)
        return found

    monkeypatch.setattr(cache, "accounts", slow)
    first: queue.Queue[Any] = queue.Queue()
    later: queue.Queue[Any] = queue.Queue()
    reads.begin(account_id, first.put)
    entered.wait(10)
    bank.deposit(account_id, "1.00")
    reads.begin(account_id, later.put)
    gate.set()
    assert first.get(timeout=10).balance == 0
    assert later.get(timeout=10).balance == 100, "it was asked for after the deposit"


def test_a_failure_is_told_to_all_of_its_read_and_to_none_of_the_next(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, reads, real = [bank.open() for _ in range(3)], Reads(), cache.accounts

    def broken(ids: Any) -> Any:
        raise OperationalError("the database cannot be reached")

    monkeypatch.setattr(cache, "accounts", broken)
    assert {type(became) for became in read(reads, ids)} == {OperationalError}
    monkeypatch.setattr(cache, "accounts", real)
    assert [view.id for view in read(reads, ids)] == ids
