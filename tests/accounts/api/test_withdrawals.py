"""POST /accounts/{id}/withdrawals pays money out, as far as it is available."""

from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank


def withdraw(api: Caller, account_id: object, amount: str) -> tuple[int, str]:
    answer = api.post(f"/accounts/{account_id}/withdrawals", {"amount": amount, "currency": "EUR"})
    return refusal(answer) if answer.status_code != 200 else (200, answer.json()["accounts"][0]["balance"])


def test_the_balance_falls_into_the_overdraft_and_no_further(api: Caller, bank: Bank) -> None:
    """Row 1: overdrafts were accepted."""
    account_id = api.open("10.00", overdraft_limit="5.00")
    assert withdraw(api, account_id, "14.99") == (200, "-4.99")
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/withdrawals", {"amount": "0.02", "currency": "EUR"})

    assert refusal(answer) == (422, "insufficient_funds")
    assert (answer.json()["available"], answer.json()["account_id"]) == ("0.01", account_id)
    assert bank.footprint() == before


def test_accounts_in_the_care_of_others_cannot_be_drawn_on(api: Caller, bank: Bank) -> None:
    """Row 21: whose account it was, was never checked."""
    theirs = bank.open("10.00")
    before = bank.footprint()

    assert withdraw(api, theirs, "1.00") == (404, "account_not_found")
    assert bank.footprint() == before


def test_a_frozen_account_pays_nothing(api: Caller, bank: Bank) -> None:
    account_id = api.open("10.00")
    api.post(f"/accounts/{account_id}/freeze")
    before = bank.footprint()

    assert withdraw(api, account_id, "1.00") == (422, "account_frozen")
    assert bank.footprint() == before
