"""POST /accounts/{id}/freeze and /unfreeze stop and resume an account."""

from accounts.api.scopes import ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.bank import Bank


def test_a_frozen_account_moves_no_money_until_it_is_unfrozen(api: Caller) -> None:
    account_id = api.open("10.00")
    body = {"amount": "1.00", "currency": "EUR"}

    assert api.post(f"/accounts/{account_id}/freeze").json()["accounts"][0]["status"] == "frozen"
    assert refusal(api.post(f"/accounts/{account_id}/deposits", body)) == (422, "account_frozen")
    assert api.post(f"/accounts/{account_id}/unfreeze", {}).json()["accounts"][0]["status"] == "open"
    assert api.post(f"/accounts/{account_id}/deposits", body).status_code == 200


def test_freezing_twice_and_unfreezing_what_is_open_are_refused(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()
    assert refusal(api.post(f"/accounts/{account_id}/unfreeze")) == (422, "account_not_frozen")
    assert bank.footprint() == before

    api.post(f"/accounts/{account_id}/freeze")
    before = bank.footprint()
    assert refusal(api.post(f"/accounts/{account_id}/freeze")) == (422, "account_frozen")
    assert bank.footprint() == before


def test_it_takes_the_admin_scope(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()
    payer = new_caller(scopes=(ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE))

    for command in ("freeze", "unfreeze"):
        assert refusal(payer.post(f"/accounts/{account_id}/{command}")) == (403, "permission_denied")
    assert bank.footprint() == before


def test_a_body_with_fields_is_refused(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    assert refusal(api.post(f"/accounts/{account_id}/freeze", {"why": "x"})) == (400, "unknown_field")
    assert bank.footprint() == before
