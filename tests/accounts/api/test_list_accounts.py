"""GET /accounts lists accounts, newest first, in pages."""

import pytest

from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, refusal
from tests.bank import Bank


def ids(answer: object) -> list[str]:
    return [row["id"] for row in answer.json()["results"]]  # type: ignore[attr-defined]


def test_pages_hold_every_account_once_also_when_new_ones_arrive(api: Caller) -> None:
    opened = [api.open() for _ in range(7)]
    page = api.get("/accounts", {"page_size": "3"})
    seen = ids(page)
    api.open()

    while cursor := page.json()["next_cursor"]:
        assert page.json()["next"] == f"/api/v1/accounts?page_size=3&cursor={cursor}"
        page = api.get("/accounts", {"page_size": "3", "cursor": cursor})
        seen += ids(page)

    assert seen == opened[::-1]
    assert page.json()["next"] is None


def test_filters_pick_by_status_currency_product_and_owner(api: Caller) -> None:
    ann = api.open(owner="Ann")
    yen = api.open(owner="Bob", currency="JPY")
    saver = api.open(owner="Cid & Söhne", product="savings")
    api.post(f"/accounts/{yen}/freeze")

    assert ids(api.get("/accounts", {"status": "frozen"})) == [yen]
    assert ids(api.get("/accounts", {"currency": "EUR"})) == [saver, ann]
    assert ids(api.get("/accounts", {"product": "savings"})) == [saver]
    assert ids(api.get("/accounts", {"owner": "Cid & Söhne"})) == [saver]
    assert ids(api.get("/accounts", {"owner": "Cid"})) == []
    assert ids(api.get("/accounts", {"currency": "EUR", "status": "frozen"})) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "asleep"}, "status"),
        ({"currency": "eur"}, "currency"),
        ({"product": "gold"}, "product"),
        ({"owner": "A\u0000"}, "owner"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "201"}, "page_size"),
        ({"page_size": "²"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"stauts": "open"}, "stauts"),
        ({"format": "xml"}, "format"),
    ],
)
def test_a_wrong_parameter_is_named(api: Caller, query: dict[str, str], field: str) -> None:
    answer = api.get("/accounts", query)

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {field}


def test_accounts_of_others_are_not_listed(api: Caller, bank: Bank) -> None:
    """Row 21: accounts of any user could be listed."""
    mine = api.open()
    others = new_caller("other").open()
    staffs = str(bank.open())

    assert ids(api.get("/accounts")) == [mine]
    assert ids(api.get("/accounts", {"owner": "Ann"})) == [mine]
    assert ids(new_caller("auditor", reach="all").get("/accounts")) == [staffs, others, mine]


def test_nobody_lists_without_a_key(api: Caller) -> None:
    """Row 21: accounts could be listed without signing in."""
    api.open()

    answer = api.get("/accounts", Authorization="")

    assert refusal(answer) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")
