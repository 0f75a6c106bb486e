"""GET /accounts/{id}/events tells all that ever happened to an account."""

from urllib.parse import parse_qsl

from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.bank import Bank


def test_events_are_told_in_order_with_amounts_as_decimal_strings(api: Caller) -> None:
    account_id = api.open("1.00")
    api.put(f"/accounts/{account_id}/overdraft-limit", {"overdraft_limit": "20.00", "currency": "EUR"})
    sent = api.post(
        f"/accounts/{account_id}/transfers", {"target_account_id": api.open(), "amount": "3.50", "currency": "EUR"}
    ).json()

    events = api.get(f"/accounts/{account_id}/events").json()["results"]

    assert [event["type"] for event in events] == ["AccountOpened", "OverdraftLimitChanged", "TransferSent"]
    assert [event["version"] for event in events] == [1, 2, 3]
    assert events[1]["data"] == {"currency": "EUR", "overdraft_limit": "20.00", "previous": "0.00"}
    last = events[-1]
    assert (last["data"]["amount"], last["data"]["balance"], last["data"]["currency"]) == ("-3.50", "-2.50", "EUR")
    assert (last["transaction_id"], last["recorded_at"]) == (sent["transaction_id"], sent["recorded_at"])
    stored = Event.objects.get(event_id=last["id"])
    assert last["hash"] == bytes(stored.hash).hex()


def test_pages_go_on_where_the_one_before_ended(api: Caller) -> None:
    account_id = api.open("5.00")
    for _ in range(4):
        api.post(f"/accounts/{account_id}/withdrawals", {"amount": "1.00", "currency": "EUR"})

    page = api.get(f"/accounts/{account_id}/events", {"page_size": "2"}).json()
    versions = [event["version"] for event in page["results"]]
    while page["next"]:
        path, query = page["next"].removeprefix("/api/v1").split("?")
        page = api.get(path, dict(parse_qsl(query))).json()
        versions += [event["version"] for event in page["results"]]

    assert versions == [1, 2, 3, 4, 5]


def test_a_cursor_that_cannot_be_is_refused(api: Caller) -> None:
    account_id = api.open()

    for cursor in ("x", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk", "\u0000"):
        answer = api.get(f"/accounts/{account_id}/events", {"cursor": cursor})
        assert fields_at_fault(answer) == {"cursor": "validation_failed"}


def test_events_out_of_reach_do_not_exist(api: Caller, bank: Bank) -> None:
    assert refusal(api.get(f"/accounts/{bank.open()}/events")) == (404, "account_not_found")
