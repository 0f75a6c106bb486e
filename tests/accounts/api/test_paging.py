"""Pages of lists: a cursor goes on where its own page ended, and nowhere else."""

from typing import Any

import pytest

from eventstore.projections import get
from eventstore.projections.runner import catch_up
from tests.accounts.api.caller import Caller, fields_at_fault, refusal


def first_page(api: Caller, path: str, **narrowed: str) -> dict[str, Any]:
    page: dict[str, Any] = api.get(path, {"page_size": "1", **narrowed}).json()
    assert page["next_cursor"], page
    return page


@pytest.fixture
def ann(api: Caller) -> str:
    """An account with some of everything that is listed."""
    account_id = api.open("100.00")
    for _ in range(3):
        hold = api.post(f"/accounts/{account_id}/holds", {"amount": "1.00", "currency": "EUR"}).json()["hold"]["id"]
        api.post(f"/holds/{hold}/capture", {"amount": "0.50", "currency": "EUR", "final": False})
    catch_up([get("transactions")])
    return account_id


LISTS = ("events", "transactions", "holds")


@pytest.mark.parametrize("taken", LISTS)
def test_a_cursor_of_another_list_is_refused_and_its_own_list_takes_it(api: Caller, ann: str, taken: str) -> None:
    other = api.open("1.00")
    cursor = first_page(api, f"/accounts/{ann}/{taken}")["next_cursor"]
    wrong = [f"/accounts/{ann}/{each}" for each in LISTS if each != taken] + [
        f"/accounts/{other}/{taken}",
        "/accounts",
    ]

    for path in wrong:
        answer = api.get(path, {"cursor": cursor})
        assert refusal(answer) == (400, "validation_failed"), path
        assert fields_at_fault(answer) == {"cursor": "validation_failed"}
        assert "`next_cursor` of the page before" in answer.json()["errors"][0]["message"]
    assert api.get(f"/accounts/{ann}/{taken}", {"cursor": cursor}).status_code == 200
    assert api.get(f"/accounts/{ann}/{taken}/", {"cursor": cursor, "page_size": "2"}).status_code == 200


def test_a_cursor_belongs_to_what_the_list_was_narrowed_by(api: Caller, ann: str) -> None:
    path = f"/accounts/{ann}/holds"
    cursor = first_page(api, path, status="open")["next_cursor"]

    for narrowed in ({}, {"status": "captured"}):
        assert fields_at_fault(api.get(path, {"cursor": cursor, **narrowed})) == {"cursor": "validation_failed"}
    assert len(api.get(path, {"cursor": cursor, "status": "open"}).json()["results"]) == 2


def test_a_cursor_of_a_statement_of_other_days_is_refused(api: Caller, ann: str) -> None:
    today = api.get(f"/accounts/{ann}").json()["opened_at"][:10]
    path = f"/accounts/{ann}/statement"
    cursor = first_page(api, path, **{"from": today, "to": today})["next_cursor"]

    answer = api.get(path, {"cursor": cursor, "from": "2026-01-01", "to": today})

    assert fields_at_fault(answer) == {"cursor": "validation_failed"}


@pytest.mark.parametrize("path", ["/accounts", "/accounts/{ann}/events", "/accounts/{ann}/holds"])
def test_an_empty_cursor_does_not_begin_anew(api: Caller, ann: str, path: str) -> None:
    """Who takes the null of the last page for a cursor would read the list for ever."""
    assert fields_at_fault(api.get(path.format(ann=ann), {"cursor": ""})) == {"cursor": "validation_failed"}


def test_a_parameter_that_is_there_twice_is_refused(api: Caller, ann: str) -> None:
    path = f"/accounts/{ann}/holds"
    cursor = first_page(api, path)["next_cursor"]

    for name, values in (("cursor", [cursor] * 2), ("status", ["open", "captured"]), ("page_size", ["1", "200"])):
        answer = api.get(path, {name: values})  # type: ignore[dict-item]
        assert fields_at_fault(answer) == {name: "validation_failed"}
