"""POST /transactions/{id}/reversal undoes a transaction, once."""

import uuid

from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.bank import Bank


def test_all_postings_of_a_transfer_are_undone(api: Caller) -> None:
    ann, bob = api.open("10.00"), api.open()
    body = {"target_account_id": bob, "amount": "4.00", "currency": "EUR"}
    sent = api.post(f"/accounts/{ann}/transfers", body).json()["transaction_id"]

    undone = api.post(f"/transactions/{sent}/reversal", {"description": "Booked twice"})

    assert [(a["id"], a["balance"]) for a in undone.json()["accounts"]] == [(ann, "10.00"), (bob, "0.00")]
    event = api.get(f"/accounts/{bob}/events").json()["results"][-1]
    assert (event["type"], event["data"]["reverses"], event["data"]["description"]) == (
        "PostingReversed",
        sent,
        "Booked twice",
    )


def test_a_second_reversal_is_refused_and_names_the_first(api: Caller, bank: Bank) -> None:
    deposit = api.post(f"/accounts/{api.open()}/deposits", {"amount": "4.00", "currency": "EUR"}).json()
    first = api.post(f"/transactions/{deposit['transaction_id']}/reversal").json()["transaction_id"]
    before = bank.footprint()

    answer = api.post(f"/transactions/{deposit['transaction_id']}/reversal")

    assert refusal(answer) == (422, "already_reversed")
    assert answer.json()["reversed_by"] == first
    assert refusal(api.post(f"/transactions/{first}/reversal")) == (422, "not_reversible")
    assert bank.footprint() == before


def test_money_that_is_spent_cannot_be_taken_back(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    deposit = api.post(f"/accounts/{account_id}/deposits", {"amount": "4.00", "currency": "EUR"}).json()
    api.post(f"/accounts/{account_id}/withdrawals", {"amount": "1.00", "currency": "EUR"})
    before = bank.footprint()

    answer = api.post(f"/transactions/{deposit['transaction_id']}/reversal")

    assert refusal(answer) == (422, "insufficient_funds")
    assert bank.footprint() == before


def test_what_another_s_account_holds_is_not_told_where_it_is_too_little(api: Caller, bank: Bank) -> None:
    ann, other = api.open("10.00"), new_caller("other")
    bob = other.open("1.00")
    body = {"target_account_id": bob, "amount": "4.00", "currency": "EUR"}
    sent = api.post(f"/accounts/{ann}/transfers", body).json()["transaction_id"]
    other.post(f"/accounts/{bob}/withdrawals", {"amount": "3.00", "currency": "EUR"})
    before = bank.footprint()

    answer = api.post(f"/transactions/{sent}/reversal")

    assert refusal(answer) == (422, "insufficient_funds")
    assert answer.json()["account_id"] == bob
    assert not {"available", "currency"} & set(answer.json())
    assert "2.00" not in answer.content.decode()
    assert bank.footprint() == before


def test_a_reversal_of_nothing_at_a_version_is_refused_like_any_other(api: Caller, bank: Bank) -> None:
    account_id = api.open("10.00")
    before = bank.footprint()
    nothing = str(uuid.uuid4())

    assert refusal(api.post(f"/transactions/{nothing}/reversal", If_Match='"3"')) == (404, "transaction_not_found")
    items = [
        {"command": "reverse", "transaction_id": nothing, "expected_version": 3},
        {"command": "deposit", "account_id": account_id, "amount": "1.00", "currency": "EUR"},
    ]
    assert bank.footprint() == before
    outcomes = api.post("/batches", {"commands": items}).json()["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == ["refused", "executed"]
    assert api.balance(account_id) == "11.00"


def test_transactions_of_others_do_not_exist(api: Caller, bank: Bank) -> None:
    theirs = bank.deposit(bank.open(), "1.00").transaction_id
    other = new_caller("other")
    mine = api.open()
    body = {"target_account_id": mine, "amount": "4.00", "currency": "EUR"}
    received = other.post(f"/accounts/{other.open('5.00')}/transfers", body).json()["transaction_id"]
    before = bank.footprint()

    for transaction_id in (theirs, received, uuid.uuid4()):
        assert refusal(api.post(f"/transactions/{transaction_id}/reversal")) == (404, "transaction_not_found")
    assert bank.footprint() == before
