"""GET with min_version: who says what it has seen is not shown less, and need not wait for the database."""

import pytest

from accounts.cache import accounts_cache
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.bank import Bank
from tests.statements import Since, counted

BODY = {"amount": "1.00", "currency": "EUR"}
ROUTES = ["", "/balance"]


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Since:
    return counted(monkeypatch, about=" accounts ")


@pytest.mark.parametrize("route", ROUTES)
def test_the_answer_is_at_the_version_that_the_client_has_seen_or_later(api: Caller, route: str) -> None:
    account_id = api.open("10.00")
    for _ in range(5):
        seen = api.post(f"/accounts/{account_id}/deposits", BODY).json()["accounts"][0]["version"]
        for stated in (seen, 1):
            answer = api.get(f"/accounts/{account_id}{route}", {"min_version": str(stated)}).json()
            assert answer["version"] == seen
            assert answer["balance"] == f"{10 + seen - 1}.00"


@pytest.mark.parametrize("route", ROUTES)
def test_it_spares_the_database_the_lookup(api: Caller, route: str, lookups: Since) -> None:
    account_id = api.open("10.00")
    path = f"/accounts/{account_id}{route}"
    api.get(path)
    lookups()

    api.get(path, {"min_version": "1"})
    assert lookups() == 0
    api.get(path)
    assert lookups() == 1


@pytest.mark.parametrize("route", ROUTES)
def test_a_version_that_the_account_has_not_reached_is_answered_with_what_there_is(api: Caller, route: str) -> None:
    account_id = api.open("10.00")
    answer = api.get(f"/accounts/{account_id}{route}", {"min_version": "99"})
    assert (answer.status_code, answer.json()["version"]) == (200, 1)


@pytest.mark.parametrize("route", ROUTES)
def test_an_account_out_of_reach_stays_hidden(api: Caller, bank: Bank, route: str) -> None:
    theirs = bank.open("5.00")
    accounts_cache().get(str(theirs))
    answer = api.get(f"/accounts/{theirs}{route}", {"min_version": "1"})
    assert refusal(answer) == (404, "account_not_found")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.0", "٣", "9" * 19])
def test_what_is_no_version_is_refused(api: Caller, route: str, text: str) -> None:
    account_id = api.open("10.00")
    answer = api.get(f"/accounts/{account_id}{route}", {"min_version": text})
    assert refusal(answer) == (400, "validation_failed")
    assert fields_at_fault(answer) == {"min_version": "validation_failed"}


def test_beside_a_moment_it_has_no_meaning(api: Caller) -> None:
    account_id = api.open("10.00")
    query = {"min_version": "1", "at": api.get(f"/accounts/{account_id}").json()["opened_at"]}
    assert refusal(api.get(f"/accounts/{account_id}/balance", query)) == (400, "validation_failed")
