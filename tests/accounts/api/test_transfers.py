"""POST /accounts/{id}/transfers moves money between two accounts, in one piece or not at all."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, refusal
from tests.bank import Bank


def transfer(api: Caller, source: object, target: object, amount: str = "1.00", **headers: str) -> tuple[int, str]:
    body = {"target_account_id": str(target), "amount": amount, "currency": "EUR"}
    answer = api.post(f"/accounts/{source}/transfers", body, **headers)
    return refusal(answer) if answer.status_code != 200 else (200, answer.json()["transaction_id"])


def test_both_postings_are_one_transaction(api: Caller) -> None:
    """Row 3: transfers were a withdrawal, then a deposit, without compensation."""
    ann, bob = api.open("100.00"), api.open("5.00")

    _, transaction_id = transfer(api, ann, bob, "30.00")

    assert (api.balance(ann), api.balance(bob)) == ("70.00", "35.00")
    kinds = Event.objects.filter(command_id=transaction_id).order_by("position").values_list("event_type", flat=True)
    assert list(kinds) == ["TransferSent", "TransferReceived"]


def test_money_may_go_to_an_account_in_the_care_of_others_but_not_come_from_it(api: Caller, bank: Bank) -> None:
    other = new_caller("other")
    mine, theirs = api.open("10.00"), other.open("10.00")

    body = {"target_account_id": theirs, "amount": "4.00", "currency": "EUR"}
    paid = api.post(f"/accounts/{mine}/transfers", body)
    assert [account["id"] for account in paid.json()["accounts"]] == [mine], "the other's balance is not told"
    before = bank.footprint()
    assert transfer(api, theirs, mine) == (404, "account_not_found")

    assert (api.balance(mine), other.balance(theirs)) == ("6.00", "14.00")
    assert bank.footprint() == before


def test_a_refused_transfer_leaves_both_accounts_as_they_were(api: Caller, bank: Bank) -> None:
    rich, poor, yen, frozen = api.open("10.00"), api.open(), api.open(currency="JPY"), api.open()
    api.post(f"/accounts/{frozen}/freeze")
    before = bank.footprint()

    assert transfer(api, poor, rich) == (422, "insufficient_funds")
    assert transfer(api, rich, rich) == (422, "same_account")
    assert transfer(api, rich, yen) == (422, "currency_mismatch")
    assert transfer(api, rich, frozen) == (422, "account_frozen")
    assert transfer(api, rich, uuid.uuid4()) == (404, "account_not_found")
    assert transfer(api, uuid.uuid4(), rich) == (404, "account_not_found")
    assert bank.footprint() == before


@pytest.mark.parametrize("target", ["x", "", 5, None, ["a"], "{01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55}"])
def test_a_target_that_is_no_id_is_a_field_error(api: Caller, bank: Bank, target: object) -> None:
    account_id = api.open("10.00")
    before = bank.footprint()

    answer = api.post(
        f"/accounts/{account_id}/transfers", {"target_account_id": target, "amount": "1.00", "currency": "EUR"}
    )

    assert answer.status_code == 400
    assert fields_at_fault(answer) == {"target_account_id": "validation_failed"}
    assert bank.footprint() == before


def test_money_sent_both_ways_at_once_neither_locks_up_nor_multiplies(api: Caller) -> None:
    ann, bob = api.open("100.00"), api.open("100.00")

    def send(index: int) -> int:
        try:
            caller = Caller(api.token, api.client)
            return transfer(caller, *((ann, bob) if index % 2 else (bob, ann)), "1.00")[0]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(40)))

    assert statuses == [200] * 40
    assert (api.balance(ann), api.balance(bob)) == ("100.00", "100.00")
