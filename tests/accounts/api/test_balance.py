"""GET /accounts/{id}/balance tells the balance now, or at a moment."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Account
from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.bank import Bank


def moments(account_id: str) -> list[datetime]:
    return list(Event.objects.filter(aggregate_id=account_id).order_by("version").values_list("timestamp", flat=True))


def test_ledger_and_available_balance_differ_by_the_overdraft(api: Caller) -> None:
    account_id = api.open("10.00", overdraft_limit="100.00")

    shown = api.get(f"/accounts/{account_id}/balance").json()

    assert datetime.fromisoformat(shown.pop("as_of")) <= datetime.now(UTC)
    assert shown == {
        "account_id": account_id,
        "currency": "EUR",
        "balance": "10.00",
        "available": "110.00",
        "held": "0.00",
        "overdraft_limit": "100.00",
        "version": 1,
    }


def test_the_balance_at_a_moment_is_what_had_been_recorded_by_then(api: Caller) -> None:
    account_id = api.open("10.00")
    for amount in ("1.00", "2.00", "4.00"):
        api.post(f"/accounts/{account_id}/deposits", {"amount": amount, "currency": "EUR"})
    api.put(f"/accounts/{account_id}/overdraft-limit", {"overdraft_limit": "50.00", "currency": "EUR"})
    path, recorded = f"/accounts/{account_id}/balance", moments(account_id)

    then = [api.get(path, {"at": moment.isoformat()}).json() for moment in recorded]
    just_before = api.get(path, {"at": (recorded[2] - timedelta(microseconds=1)).isoformat()}).json()

    assert [answer["balance"] for answer in then] == ["10.00", "11.00", "13.00", "17.00", "17.00"]
    assert [answer["available"] for answer in then][-2:] == ["17.00", "67.00"]
    assert [answer["version"] for answer in then] == [1, 2, 3, 4, 5]
    assert (just_before["balance"], just_before["version"]) == ("11.00", 2)


def test_any_offset_names_the_same_moment(api: Caller) -> None:
    account_id = api.open("10.00")
    moment = moments(account_id)[0]
    api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"})

    for text in (moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), (moment + timedelta(hours=2)).strftime("%FT%T.%f+02:00")):
        assert api.get(f"/accounts/{account_id}/balance", {"at": text}).json()["balance"] == "10.00"


def test_before_its_opening_an_account_has_no_balance(api: Caller) -> None:
    account_id = api.open("10.00")
    opened_at = Account.objects.get(id=account_id).opened_at

    for moment in (opened_at - timedelta(microseconds=1), datetime(1, 1, 2, tzinfo=UTC)):
        answer = api.get(f"/accounts/{account_id}/balance", {"at": moment.isoformat()})
        assert refusal(answer) == (404, "account_not_yet_opened")
        assert datetime.fromisoformat(answer.json()["opened_at"]) == opened_at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00 01:00",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "٢٠٢٦-٠١-٣١T12:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_moment_that_cannot_be_or_is_not_yet_is_refused(api: Caller, text: str) -> None:
    answer = api.get(f"/accounts/{api.open()}/balance", {"at": text})

    assert answer.status_code == 400
    assert fields_at_fault(answer) == {"at": "validation_failed"}


def test_a_misspelt_parameter_does_not_answer_with_today(api: Caller) -> None:
    answer = api.get(f"/accounts/{api.open()}/balance", {"att": "2026-01-31T12:00:00Z"})

    assert refusal(answer) == (400, "unknown_field")
    assert "Did you mean at?" in answer.json()["detail"]


def test_balances_out_of_reach_do_not_exist(api: Caller, bank: Bank) -> None:
    theirs = bank.open("10.00")

    assert refusal(api.get(f"/accounts/{theirs}/balance")) == (404, "account_not_found")
    assert refusal(api.get(f"/accounts/{theirs}/balance", {"at": "2020-01-01T00:00:00Z"})) == (
        404,
        "account_not_found",
    )
