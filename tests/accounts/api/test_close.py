"""POST /accounts/{id}/close ends an account, at a balance of zero."""

from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank


def test_an_empty_account_closes_for_good(api: Caller, bank: Bank) -> None:
    account_id = api.open()

    assert api.post(f"/accounts/{account_id}/close").json()["accounts"][0]["status"] == "closed"
    before = bank.footprint()
    for command in ("close", "freeze", "unfreeze"):
        assert refusal(api.post(f"/accounts/{account_id}/{command}")) == (422, "account_closed")
    assert bank.footprint() == before


def test_an_account_with_money_in_it_stays_open(api: Caller, bank: Bank) -> None:
    """Row 5: accounts could be closed with money in them."""
    account_id = api.open("0.01")
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/close")

    assert refusal(answer) == (422, "balance_not_zero")
    assert {name: answer.json()[name] for name in ("balance", "held", "currency")} == {
        "balance": "0.01",
        "held": "0.00",
        "currency": "EUR",
    }
    assert "move the rest first" in answer.json()["detail"]
    assert bank.footprint() == before


def test_an_account_that_owes_stays_open(api: Caller, bank: Bank) -> None:
    account_id = api.open(overdraft_limit="10.00")
    api.post(f"/accounts/{account_id}/withdrawals", {"amount": "1.00", "currency": "EUR"})
    before = bank.footprint()

    assert refusal(api.post(f"/accounts/{account_id}/close")) == (422, "balance_not_zero")
    assert bank.footprint() == before


def test_an_account_that_a_hold_alone_keeps_open_says_what_is_held(api: Caller, bank: Bank) -> None:
    account_id = api.open(overdraft_limit="10.00")
    api.post(f"/accounts/{account_id}/holds", {"amount": "4.00", "currency": "EUR"})
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/close")

    assert refusal(answer) == (422, "balance_not_zero")
    body = answer.json()
    assert (body["balance"], body["held"], body["currency"]) == ("0.00", "4.00", "EUR")
    assert body["detail"] == "An account is closed when nothing on it is held: capture or release its holds first."
    assert bank.footprint() == before
