"""POST /accounts opens an account in the care of the calling client."""

from typing import Any

import pytest

from accounts.api.scopes import ACCOUNTS_WRITE
from accounts.models import Account
from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, refusal
from tests.bank import Bank


def test_the_answer_says_where_the_new_account_is(api: Caller) -> None:
    answer = api.post("/accounts", {"owner": "Zoë Ångström", "currency": "EUR"})

    assert answer.status_code == 201
    opened = answer.json()["accounts"][0]
    assert opened | {"id": None} == {
        "id": None,
        "version": 1,
        "status": "open",
        "currency": "EUR",
        "balance": "0.00",
        "available": "0.00",
    }
    assert answer["Location"] == f"/api/v1/accounts/{opened['id']}"
    assert answer["ETag"] == '"1"'
    account = Account.objects.get(id=opened["id"])
    assert (account.owner, account.product, account.custodian) == ("Zoë Ångström", "current", "client:acme")


def test_an_account_may_be_opened_with_money_in_it(api: Caller) -> None:
    account_id = api.open("1000.00")

    assert api.balance(account_id) == "1000.00"
    assert Event.objects.filter(aggregate_id=account_id).count() == 1


@pytest.mark.parametrize(
    ("currency", "shown"), [("JPY", "500"), ("EUR", "500.00"), ("BHD", "500.000"), ("CLF", "500.0000")]
)
def test_amounts_have_the_decimals_of_their_currency(api: Caller, currency: str, shown: str) -> None:
    assert api.balance(api.open("500", currency=currency)) == shown


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"owner": ""}, "owner", "validation_failed"),
        ({"owner": "  "}, "owner", "validation_failed"),
        ({"owner": None}, "owner", "validation_failed"),
        ({"owner": 7}, "owner", "validation_failed"),
        ({"owner": "A" * 201}, "owner", "validation_failed"),
        ({"owner": "A\u0000nn"}, "owner", "validation_failed"),
        ({"owner": "A\nnn"}, "owner", "validation_failed"),
        ({"currency": "EURO"}, "currency", "validation_failed"),
        ({"currency": "eur"}, "currency", "validation_failed"),
        ({"currency": ["EUR"]}, "currency", "validation_failed"),
        ({"product": "gold"}, "product", "validation_failed"),
        ({"contra": "interest"}, "contra", "validation_failed"),
        ({"overdraft_limit": 5}, "overdraft_limit", "invalid_amount"),
        ({"overdraft_limit": "-5"}, "overdraft_limit", "invalid_amount"),
        ({"opening_deposit": "0.001"}, "opening_deposit", "invalid_amount"),
        ({"opening_deposit": "100000000000.01"}, "opening_deposit", "amount_too_large"),
        ({"custodian": "bank"}, "custodian", "unknown_field"),
        ({"ownr": "Ann"}, "ownr", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_opened(
    api: Caller, bank: Bank, change: dict[str, Any], field: str, code: str
) -> None:
    before = bank.footprint()

    answer = api.post("/accounts", {"owner": "Ann", "currency": "EUR"} | change)

    assert answer.status_code == 400
    assert fields_at_fault(answer) == {field: code}
    assert bank.footprint() == before


def test_a_savings_account_gets_no_overdraft(api: Caller, bank: Bank) -> None:
    before = bank.footprint()
    body = {"owner": "Ann", "currency": "EUR", "product": "savings", "overdraft_limit": "1.00"}

    assert refusal(api.post("/accounts", body)) == (422, "overdraft_not_allowed")
    assert bank.footprint() == before


@pytest.mark.parametrize(
    ("extra", "lacking"), [("overdraft_limit", "accounts:admin"), ("opening_deposit", "payments:write")]
)
def test_a_key_that_only_opens_accounts_cannot_grant_credit_or_bring_money_in(
    bank: Bank, extra: str, lacking: str
) -> None:
    opener = new_caller(scopes=(ACCOUNTS_WRITE,))
    before = bank.footprint()

    answer = opener.post("/accounts", {"owner": "Ann", "currency": "EUR", extra: "10.00"})

    assert refusal(answer) == (403, "permission_denied")
    assert lacking in answer.json()["detail"]
    assert bank.footprint() == before


def test_if_match_is_refused_rather_than_ignored(api: Caller, bank: Bank) -> None:
    before = bank.footprint()

    answer = api.post("/accounts", {"owner": "Ann", "currency": "EUR"}, If_Match='"1"')

    assert refusal(answer) == (400, "malformed_request")
    assert bank.footprint() == before
