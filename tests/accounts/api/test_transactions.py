"""GET /accounts/{id}/transactions lists postings, newest first, from a read model that follows the books."""

from eventstore.projections import get
from eventstore.projections.runner import catch_up
from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank


def project() -> None:
    catch_up([get("transactions")])


def test_postings_are_listed_as_on_a_statement(api: Caller) -> None:
    account_id = api.open("10.00")
    body = {"amount": "2.50", "currency": "EUR", "contra": "cards", "description": "Café"}
    paid = api.post(f"/accounts/{account_id}/withdrawals", body).json()
    project()

    listed = api.get(f"/accounts/{account_id}/transactions").json()

    assert [row["amount"] for row in listed["results"]] == ["-2.50", "10.00"]
    newest = listed["results"][0]
    assert newest.pop("value_date") == paid["recorded_at"][:10]
    assert newest == {
        "transaction_id": paid["transaction_id"],
        "account_id": account_id,
        "version": 2,
        "kind": "Withdrawn",
        "amount": "-2.50",
        "currency": "EUR",
        "balance": "7.50",
        "contra": "cards:EUR",
        "description": "Café",
        "recorded_at": paid["recorded_at"],
        "reverses": None,
    }


def test_the_list_says_how_far_it_has_come(api: Caller) -> None:
    account_id = api.open("10.00")
    path = f"/accounts/{account_id}/transactions"
    assert api.get(path).json() == {"results": [], "next": None, "next_cursor": None, "as_of_version": 0}
    project()

    done = api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}).json()

    assert api.get(path).json()["as_of_version"] == 1 < done["accounts"][0]["version"]
    project()
    assert api.get(path).json()["as_of_version"] == done["accounts"][0]["version"]


def test_pages_hold_every_posting_once_also_when_new_ones_arrive(api: Caller) -> None:
    account_id = api.open("10.00")
    path = f"/accounts/{account_id}/transactions"
    for _ in range(6):
        api.post(f"/accounts/{account_id}/withdrawals", {"amount": "1.00", "currency": "EUR"})
    project()
    page = api.get(path, {"page_size": "3"}).json()
    seen = [row["version"] for row in page["results"]]
    api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"})
    project()

    while page["next_cursor"]:
        page = api.get(path, {"page_size": "3", "cursor": page["next_cursor"]}).json()
        seen += [row["version"] for row in page["results"]]

    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_postings_out_of_reach_do_not_exist(api: Caller, bank: Bank) -> None:
    theirs = bank.open("5.00")
    project()

    assert refusal(api.get(f"/accounts/{theirs}/transactions")) == (404, "account_not_found")
