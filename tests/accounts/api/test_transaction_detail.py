"""GET /transactions/{id} shows a transaction from the books, as soon as its command was answered."""

import uuid

from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.bank import Bank


def test_a_transfer_has_two_postings(api: Caller) -> None:
    ann, bob = api.open("10.00"), api.open()
    done = api.post(
        f"/accounts/{ann}/transfers", {"target_account_id": bob, "amount": "4.00", "currency": "EUR"}
    ).json()

    shown = api.get(f"/transactions/{done['transaction_id']}").json()

    assert [(row["account_id"], row["amount"]) for row in shown["postings"]] == [(ann, "-4.00"), (bob, "4.00")]
    assert (shown["recorded_at"], shown["reversed_by"]) == (done["recorded_at"], None)


def test_it_names_its_reversal(api: Caller) -> None:
    done = api.post(f"/accounts/{api.open()}/deposits", {"amount": "4.00", "currency": "EUR"}).json()[
        "transaction_id"
    ]

    undone = api.post(f"/transactions/{done}/reversal").json()["transaction_id"]

    assert api.get(f"/transactions/{done}").json()["reversed_by"] == undone
    assert api.get(f"/transactions/{undone}").json()["postings"][0]["reverses"] == done


def test_each_side_of_a_transfer_sees_its_own_posting_only(api: Caller) -> None:
    other = new_caller("other")
    mine, theirs = api.open("10.00"), other.open()
    body = {"target_account_id": theirs, "amount": "4.00", "currency": "EUR"}
    done = api.post(f"/accounts/{mine}/transfers", body).json()["transaction_id"]

    assert [row["account_id"] for row in api.get(f"/transactions/{done}").json()["postings"]] == [mine]
    assert [row["account_id"] for row in other.get(f"/transactions/{done}").json()["postings"]] == [theirs]


def test_what_is_out_of_reach_or_moves_no_money_is_not_found(api: Caller, bank: Bank) -> None:
    theirs = bank.deposit(bank.open(), "1.00").transaction_id
    frozen = api.post(f"/accounts/{api.open()}/freeze").json()["transaction_id"]

    for transaction_id in (theirs, frozen, uuid.uuid4()):
        assert refusal(api.get(f"/transactions/{transaction_id}")) == (404, "transaction_not_found")
