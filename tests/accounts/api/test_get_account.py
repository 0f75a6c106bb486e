"""GET /accounts/{id} shows an account; its ETag is its version."""

import uuid

from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.bank import Bank


def test_an_account_is_shown_with_its_money_as_decimal_strings(api: Caller) -> None:
    account_id = api.open("10.50", overdraft_limit="5.00")

    answer = api.get(f"/accounts/{account_id}")

    shown = answer.json()
    assert answer["ETag"] == '"1"'
    assert shown.pop("opened_at") == shown.pop("updated_at")
    assert shown == {
        "id": account_id,
        "owner": "Ann",
        "currency": "EUR",
        "product": "current",
        "custodian": "client:acme",
        "status": "open",
        "balance": "10.50",
        "available": "15.50",
        "held": "0.00",
        "overdraft_limit": "5.00",
        "version": 1,
    }


def test_a_caller_that_knows_the_version_gets_304_until_it_changes(api: Caller) -> None:
    account_id = api.open("10.00")
    path = f"/accounts/{account_id}"
    known = api.get(path)["ETag"]

    for header in (known, f"W/{known}", f'"7", {known}', "*"):
        answer = api.get(path, If_None_Match=header)
        assert (answer.status_code, answer["ETag"], answer.content) == (304, known, b"")

    api.post(f"{path}/deposits", {"amount": "1.00", "currency": "EUR"})
    answer = api.get(path, If_None_Match=known)
    assert (answer.status_code, answer["ETag"], answer.json()["balance"]) == (200, '"2"', "11.00")


def test_an_account_out_of_reach_looks_like_one_that_does_not_exist(api: Caller, bank: Bank) -> None:
    theirs, nowhere = str(bank.open("5.00")), str(uuid.uuid4())

    answers = [api.get(f"/accounts/{account_id}") for account_id in (theirs, nowhere)]

    assert [refusal(answer) for answer in answers] == [(404, "account_not_found")] * 2
    hidden, missing = (
        answer.content.decode().replace(account_id, "?").replace(answer["X-Request-ID"], "?")
        for answer, account_id in zip(answers, (theirs, nowhere), strict=True)
    )
    assert hidden == missing
    assert new_caller("auditor", reach="all").get(f"/accounts/{theirs}").json()["balance"] == "5.00"


def test_a_path_that_holds_no_uuid_is_not_found(api: Caller) -> None:
    for path in ("/accounts/1", "/accounts/not-a-uuid/balance", "/accounts/%00", f"/accounts/{uuid.uuid4()}x"):
        assert refusal(api.get(path)) == (404, "not_found")


def test_a_trailing_slash_makes_no_difference(api: Caller) -> None:
    account_id = api.open()

    assert api.get(f"/accounts/{account_id}/").json() == api.get(f"/accounts/{account_id}").json()
