"""If-Match: a caller that has read an account may make sure that it has not changed since."""

import pytest

from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank

BODY = {"amount": "1.00", "currency": "EUR"}


def test_the_etag_of_one_answer_is_the_condition_of_the_next(api: Caller) -> None:
    account_id = api.open()
    tag = api.get(f"/accounts/{account_id}")["ETag"]

    for _ in range(3):
        answer = api.post(f"/accounts/{account_id}/deposits", BODY, If_Match=tag)
        assert answer.status_code == 200
        tag = answer["ETag"]

    assert api.balance(account_id) == "3.00"


@pytest.mark.parametrize("command", ["deposits", "withdrawals", "freeze", "close"])
def test_an_account_that_has_changed_is_left_alone(api: Caller, bank: Bank, command: str) -> None:
    account_id = api.open("10.00")
    api.post(f"/accounts/{account_id}/deposits", BODY)
    before = bank.footprint()
    body = BODY if command in ("deposits", "withdrawals") else None

    answer = api.post(f"/accounts/{account_id}/{command}", body, If_Match='"1"')

    assert refusal(answer) == (412, "version_mismatch")
    assert (answer.json()["expected"], answer.json()["actual"]) == (1, 2)
    assert bank.footprint() == before


@pytest.mark.parametrize(
    "header", ["1", '"0"', '"-1"', '"1', '""', 'W/"1"', '"1", "2"', '"abc"', '"1e3"', '"' + "9" * 40 + '"']
)
def test_a_malformed_condition_is_refused(api: Caller, bank: Bank, header: str) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", BODY, If_Match=header)

    assert refusal(answer) == (400, "malformed_request")
    assert bank.footprint() == before


def test_a_star_takes_any_version(api: Caller) -> None:
    assert api.post(f"/accounts/{api.open()}/deposits", BODY, If_Match="*").status_code == 200


def test_a_repeated_command_gets_its_first_answer_although_the_version_has_moved(api: Caller) -> None:
    account_id = api.open()
    first = api.post(f"/accounts/{account_id}/deposits", BODY, key="k", If_Match='"1"')

    again = api.post(f"/accounts/{account_id}/deposits", BODY, key="k", If_Match='"1"')

    assert (again.status_code, again.content) == (200, first.content)


def test_the_version_of_an_account_out_of_reach_is_not_told(api: Caller, bank: Bank) -> None:
    theirs = bank.open("5.00")

    answer = api.post(f"/accounts/{theirs}/deposits", BODY, If_Match='"7"')

    assert refusal(answer) == (404, "account_not_found")
    assert "actual" not in answer.json()
