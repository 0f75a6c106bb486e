"""PUT /accounts/{id}/overdraft-limit sets how far an account may be overdrawn."""

from typing import Any

import pytest

from accounts.api.scopes import PAYMENTS_WRITE
from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, refusal
from tests.bank import Bank


def put(api: Caller, account_id: str, limit: Any, currency: str = "EUR", **headers: str) -> Any:
    return api.put(
        f"/accounts/{account_id}/overdraft-limit", {"overdraft_limit": limit, "currency": currency}, **headers
    )


def test_the_limit_counts_at_once(api: Caller) -> None:
    account_id = api.open("10.00")

    after = put(api, account_id, "50.00").json()["accounts"][0]

    assert (after["balance"], after["available"]) == ("10.00", "60.00")
    assert put(api, account_id, "0").json()["accounts"][0]["available"] == "10.00"


def test_a_limit_below_what_is_used_is_refused(api: Caller, bank: Bank) -> None:
    account_id = api.open(overdraft_limit="50.00")
    api.post(f"/accounts/{account_id}/withdrawals", {"amount": "30.00", "currency": "EUR"})
    before = bank.footprint()

    answer = put(api, account_id, "29.99")

    assert refusal(answer) == (422, "overdraft_in_use")
    assert fields_at_fault(answer) == {"overdraft_limit": "overdraft_in_use"}
    assert answer.json()["detail"] == "The account is overdrawn by more than the new limit."
    assert bank.footprint() == before


def test_a_limit_that_holds_alone_keep_up_is_refused_with_what_is_held(api: Caller, bank: Bank) -> None:
    account_id = api.open("1.00", overdraft_limit="50.00")
    api.post(f"/accounts/{account_id}/holds", {"amount": "31.00", "currency": "EUR"})
    before = bank.footprint()

    answer = put(api, account_id, "29.99")

    assert refusal(answer) == (422, "overdraft_in_use")
    body = answer.json()
    assert (body["balance"], body["held"], body["currency"]) == ("1.00", "31.00", "EUR")
    assert body["detail"] == "Holds on the account reserve more than the new limit would cover: release them first."
    assert bank.footprint() == before
    assert put(api, account_id, "30.00").status_code == 200


@pytest.mark.parametrize(
    ("limit", "currency", "expected"),
    [
        ("-1.00", "EUR", (400, "invalid_amount")),
        (1, "EUR", (400, "invalid_amount")),
        ("1.00", "USD", (422, "currency_mismatch")),
        ("100000000.01", "EUR", (422, "overdraft_not_allowed")),
    ],
)
def test_a_limit_that_cannot_be_changes_nothing(
    api: Caller, bank: Bank, limit: Any, currency: str, expected: tuple[int, str]
) -> None:
    account_id = api.open()
    before = bank.footprint()

    assert refusal(put(api, account_id, limit, currency)) == expected
    assert bank.footprint() == before


def test_it_takes_the_admin_scope(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    assert refusal(put(new_caller(scopes=(PAYMENTS_WRITE,)), account_id, "5.00")) == (403, "permission_denied")
    assert bank.footprint() == before
