"""Holds over the API: placed on an account, then captured or released by their own id."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.api.scopes import ACCOUNTS_READ, PAYMENTS_WRITE
from accounts.models import Hold
from eventstore.events import new_id
from eventstore.projections import get
from eventstore.projections.runner import catch_up
from tests.accounts.api.caller import Caller, fields_at_fault, new_caller, refusal
from tests.bank import Bank
from tests.eventstore.admin.test_large_tables import rows_read

MONEY = {"amount": "80.00", "currency": "EUR"}


def place(api: Caller, account_id: str, **fields: object) -> str:
    answer = api.post(f"/accounts/{account_id}/holds", MONEY | fields)
    assert answer.status_code == 201, answer.content
    hold_id: str = answer.json()["hold"]["id"]
    return hold_id


def test_a_hold_is_placed_and_told_of_in_full(api: Caller) -> None:
    ann = api.open("100.00")
    answer = api.post(f"/accounts/{ann}/holds", MONEY | {"description": "Hotel"})

    body = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"/api/v1/holds/{body['hold']['id']}"
    assert (body["accounts"][0]["balance"], body["accounts"][0]["available"]) == ("100.00", "20.00")
    assert {name: body["hold"][name] for name in ("status", "amount", "captured", "released", "held", "contra")} == {
        "status": "open",
        "amount": "80.00",
        "captured": "0.00",
        "released": "0.00",
        "held": "80.00",
        "contra": "cards:EUR",
    }
    assert api.get(answer["Location"].removeprefix("/api/v1")).json() == body["hold"]
    balance = api.get(f"/accounts/{ann}/balance").json()
    assert (balance["balance"], balance["held"], balance["available"]) == ("100.00", "80.00", "20.00")


def test_a_capture_books_all_or_a_part_and_gives_up_the_rest(api: Caller) -> None:
    ann = api.open("200.00")
    whole, part = place(api, ann), place(api, ann)

    all_of_it = api.post(f"/holds/{whole}/capture")
    some = api.post(f"/holds/{part}/capture", {"amount": "72.50", "currency": "EUR"})

    assert all_of_it.json()["hold"]["captured"] == "80.00"
    hold = some.json()["hold"]
    assert (hold["status"], hold["captured"], hold["released"], hold["held"]) == ("captured", "72.50", "7.50", "0.00")
    assert some.json()["accounts"][0]["available"] == "47.50"
    kinds = [
        posting["kind"] for posting in api.get(f"/transactions/{some.json()['transaction_id']}").json()["postings"]
    ]
    assert kinds == ["HoldCaptured"]


def test_a_capture_pays_an_account_of_anyone_and_tells_nothing_of_it(api: Caller, bank: Bank) -> None:
    ann, theirs = api.open("100.00"), bank.open("5.00")

    answer = api.post(f"/holds/{place(api, ann)}/capture", {"target_account_id": str(theirs)})

    assert answer.status_code == 200
    assert [account["id"] for account in answer.json()["accounts"]] == [ann]
    [posting] = api.get(f"/transactions/{answer.json()['transaction_id']}").json()["postings"]
    assert (posting["kind"], posting["contra"]) == ("HoldCaptured", f"account:{theirs}")
    assert bank.balance(theirs) == 8_500


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55", (404, "account_not_found")),
        ("somebody", (400, "validation_failed")),
        (None, (400, "validation_failed")),
    ],
)
def test_a_capture_to_nobody_names_its_field(api: Caller, bank: Bank, target: object, code: tuple[int, str]) -> None:
    hold = place(api, api.open("100.00"))
    before = bank.footprint()

    answer = api.post(f"/holds/{hold}/capture", {"target_account_id": target})

    assert refusal(answer) == code
    assert set(fields_at_fault(answer)) == {"target_account_id"}
    assert bank.footprint() == before


def test_a_capture_that_is_not_final_keeps_the_rest(api: Caller) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)

    answer = api.post(f"/holds/{hold}/capture", {"amount": "30.00", "currency": "EUR", "final": False})

    assert (answer.json()["hold"]["status"], answer.json()["hold"]["held"]) == ("open", "50.00")
    assert api.post(f"/holds/{hold}/capture").json()["hold"]["captured"] == "80.00"


def test_a_release_makes_the_money_available(api: Caller) -> None:
    ann = api.open("100.00")
    answer = api.post(f"/holds/{place(api, ann)}/release")

    assert answer.json()["hold"]["status"] == "released"
    assert answer.json()["accounts"][0]["available"] == "100.00"


def test_a_release_of_a_part_keeps_the_rest(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)

    answer = api.post(f"/holds/{hold}/release", {"amount": "30.00", "currency": "EUR"})

    told = answer.json()["hold"]
    assert (told["status"], told["released"], told["held"]) == ("open", "30.00", "50.00")
    assert answer.json()["accounts"][0]["available"] == "50.00"
    before = bank.footprint()
    beyond = api.post(f"/holds/{hold}/release", {"amount": "50.01", "currency": "EUR"})
    assert (refusal(beyond), beyond.json()["held"]) == ((422, "release_exceeds_hold"), "50.00")
    assert bank.footprint() == before


def test_a_hold_is_extended_by_an_amount_and_for_longer(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)
    end = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)

    answer = api.post(f"/holds/{hold}/extend", {"amount": "15.00", "currency": "EUR", "expires_at": end.isoformat()})

    told = answer.json()["hold"]
    assert (answer.status_code, answer["ETag"]) == (200, '"3"')
    assert (told["amount"], told["held"], told["expires_at"][:19]) == ("95.00", "95.00", end.isoformat()[:19])
    assert answer.json()["accounts"][0]["available"] == "5.00"
    assert api.get(f"/holds/{hold}").json() == told
    before = bank.footprint()
    too_much = api.post(f"/holds/{hold}/extend", {"amount": "5.01", "currency": "EUR"})
    assert (refusal(too_much), too_much.json()["available"]) == ((422, "insufficient_funds"), "5.00")
    assert bank.footprint() == before


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("extend", {}, "amount"),
        ("extend", {"amount": "1.00"}, "currency"),
        ("extend", {"amount": "0.00", "currency": "EUR"}, "amount"),
        ("extend", {"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ("extend", {"expires_at": "tomorrow"}, "expires_at"),
        ("extend", {"final": True}, "final"),
        ("release", {"currency": "EUR"}, "amount"),
        ("release", {"amount": "1.001", "currency": "EUR"}, "amount"),
        ("release", {"amount": None, "currency": "EUR"}, "amount"),
    ],
)
def test_an_extension_or_release_that_is_not_well_formed_names_its_field(
    api: Caller, bank: Bank, verb: str, body: dict[str, object], field: str
) -> None:
    hold = place(api, api.open("100.00"))
    before = bank.footprint()

    answer = api.post(f"/holds/{hold}/{verb}", body)

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {field}
    assert bank.footprint() == before


def test_refusals_say_what_is_left(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)
    before = bank.footprint()

    too_much = api.post(f"/accounts/{ann}/holds", {"amount": "20.01", "currency": "EUR"})
    beyond = api.post(f"/holds/{hold}/capture", {"amount": "80.01", "currency": "EUR"})

    assert refusal(too_much) == (422, "insufficient_funds")
    assert too_much.json()["available"] == "20.00"
    assert refusal(beyond) == (422, "capture_exceeds_hold")
    assert beyond.json()["held"] == "80.00"
    assert bank.footprint() == before
    api.post(f"/holds/{hold}/release")
    again = api.post(f"/holds/{hold}/capture")
    assert (refusal(again), again.json()["hold_status"]) == ((422, "hold_not_open"), "released")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "1.00"}, "currency"),
        ({"currency": "EUR"}, "amount"),
        ({"amount": "1.00", "currency": "EUR", "final": "yes"}, "final"),
        ({"final": None}, "final"),
        ({"ammount": "1.00"}, "ammount"),
        ({"description": "x" * 201}, "description"),
    ],
)
def test_a_capture_that_is_not_well_formed_names_its_field(
    api: Caller, bank: Bank, body: dict[str, object], field: str
) -> None:
    hold = place(api, api.open("100.00"))
    before = bank.footprint()

    answer = api.post(f"/holds/{hold}/capture", body)

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {field}
    assert bank.footprint() == before


@pytest.mark.parametrize("moment", ["tomorrow", "2026-01-31", "2026-01-31T12:00:00", 5, None, "2020-01-01T00:00:00Z"])
def test_an_end_that_cannot_be_is_refused(api: Caller, bank: Bank, moment: object) -> None:
    ann = api.open("100.00")
    before = bank.footprint()

    answer = api.post(f"/accounts/{ann}/holds", MONEY | {"expires_at": moment})

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {"expires_at"}
    assert bank.footprint() == before


def test_an_end_may_be_told(api: Caller) -> None:
    ann = api.open("100.00")
    end = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)

    hold = place(api, ann, expires_at=end.isoformat())

    assert Hold.objects.get(id=hold).expires_at == end


def test_holds_on_accounts_of_others_are_not_there(api: Caller, bank: Bank) -> None:
    theirs = bank.open("100.00")
    hold = bank.hold(theirs, "80.00")
    before = bank.footprint()

    assert refusal(api.get(f"/holds/{hold}")) == (404, "hold_not_found")
    assert refusal(api.get(f"/accounts/{theirs}/holds")) == (404, "account_not_found")
    assert refusal(api.post(f"/accounts/{theirs}/holds", MONEY)) == (404, "account_not_found")
    for verb in ("capture", "extend", "release"):
        assert refusal(api.post(f"/holds/{hold}/{verb}")) == (404, "hold_not_found")
        assert refusal(api.post(f"/holds/{hold}/{verb}", If_Match='"1"')) == (404, "hold_not_found")
    assert bank.footprint() == before


def test_placing_takes_the_scope_of_payments(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    reader = new_caller(scopes=(ACCOUNTS_READ,))
    hold = place(new_caller(scopes=(PAYMENTS_WRITE,)), ann)
    before = bank.footprint()

    assert refusal(reader.post(f"/accounts/{ann}/holds", MONEY)) == (403, "permission_denied")
    assert refusal(reader.post(f"/holds/{hold}/capture")) == (403, "permission_denied")
    assert refusal(reader.post(f"/holds/{hold}/release")) == (403, "permission_denied")
    assert refusal(reader.post(f"/holds/{hold}/extend", MONEY)) == (403, "permission_denied")
    assert bank.footprint() == before
    assert reader.get(f"/holds/{hold}").status_code == 200


def test_if_match_is_about_the_account_of_the_hold(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)
    before = bank.footprint()

    stale = api.post(f"/holds/{hold}/capture", If_Match='"1"')
    assert refusal(stale) == (412, "version_mismatch")
    assert bank.footprint() == before
    done = api.post(f"/holds/{hold}/capture", If_Match='"2"')
    assert (done.status_code, done["ETag"]) == (200, '"3"')


def test_sent_again_with_its_key_a_command_answers_as_at_first(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    first = api.post(f"/accounts/{ann}/holds", MONEY, key="authorise-1")
    again = api.post(f"/accounts/{ann}/holds", MONEY, key="authorise-1")
    captured = api.post(f"/holds/{first.json()['hold']['id']}/capture", key="capture-1")
    before = bank.footprint()
    once_more = api.post(f"/holds/{first.json()['hold']['id']}/capture", key="capture-1")

    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert once_more.content == captured.content
    assert once_more["Idempotent-Replayed"] == "true"
    assert bank.footprint() == before


def test_the_list_is_newest_first_in_pages_and_by_status(api: Caller) -> None:
    ann = api.open("100.00")
    money = {"amount": "10.00"}
    holds = [place(api, ann, **money) for _ in range(3)]
    place(api, api.open("100.00"))
    api.post(f"/holds/{holds[1]}/release")

    page = api.get(f"/accounts/{ann}/holds", {"page_size": "2"}).json()
    rest = api.get(f"/accounts/{ann}/holds", {"page_size": "2", "cursor": page["next_cursor"]}).json()
    still_open = api.get(f"/accounts/{ann}/holds", {"status": "open"}).json()

    assert [hold["id"] for hold in page["results"] + rest["results"]] == holds[::-1]
    assert rest["next"] is None
    assert [hold["id"] for hold in still_open["results"]] == [holds[2], holds[0]]
    assert refusal(api.get(f"/accounts/{ann}/holds", {"status": "lost"})) == (400, "validation_failed")
    misspelt = api.get(f"/accounts/{ann}/holds", {"staus": "open"})
    assert (refusal(misspelt), misspelt.json()["detail"]) == (
        (400, "unknown_field"),
        "There is no such query parameter. Did you mean status?",
    )


def test_the_open_ones_are_found_without_reading_those_that_have_ended(api: Caller, bank: Bank) -> None:
    ann = api.open("100.00")
    still_open = place(api, ann)
    row = Hold.objects.filter(pk=still_open).values()[0]
    ended = row | {"status": "released", "released": row["amount"]}
    Hold.objects.bulk_create(Hold(**ended | {"id": new_id(), "version": 100 + each}) for each in range(2000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE holds")
    with CaptureQueriesContext(connection) as captured:
        answer = api.get(f"/accounts/{ann}/holds", {"status": "open"})

    assert [hold["id"] for hold in answer.json()["results"]] == [still_open]
    [sql] = [query["sql"] for query in captured if 'FROM "holds"' in query["sql"]]
    assert rows_read(sql) == 1


def test_a_posting_that_captures_a_hold_names_it_in_every_list(api: Caller) -> None:
    ann = api.open("100.00")
    holds = [place(api, ann, amount="10.00") for _ in range(2)]
    captured = [api.post(f"/holds/{hold}/capture").json() for hold in holds]
    catch_up([get("transactions")])
    today = captured[0]["recorded_at"][:10]

    [detail] = api.get(f"/transactions/{captured[0]['transaction_id']}").json()["postings"]
    listed = api.get(f"/accounts/{ann}/transactions").json()["results"]
    stated = api.get(f"/accounts/{ann}/statement", {"from": today, "to": today}).json()["results"]

    assert detail["hold_id"] == holds[0]
    assert [row.get("hold_id") for row in listed] == [holds[1], holds[0], None]
    assert [row.get("hold_id") for row in stated] == [None, *holds]
    assert "hold_id" not in listed[-1], "it captured nothing"


def test_a_batch_takes_them_beside_other_commands(api: Caller) -> None:
    ann = api.open("100.00")
    hold = place(api, ann)
    commands = [
        {"command": "place_hold", "account_id": ann, "amount": "20.00", "currency": "EUR"},
        {"command": "capture_hold", "hold_id": hold, "amount": "50.00", "currency": "EUR", "final": False},
        {"command": "capture_hold", "hold_id": hold, "amount": "50.00", "currency": "EUR"},
        {"command": "release_hold", "hold_id": hold, "expected_version": 4, "amount": "10.00", "currency": "EUR"},
        {"command": "extend_hold", "hold_id": hold, "amount": "5.00", "currency": "EUR"},
        {"command": "release_hold", "hold_id": hold},
    ]
    outcomes = api.post("/batches", {"commands": commands}).json()["outcomes"]

    codes = [each.get("problem", {}).get("code") for each in outcomes]
    assert codes == [None, None, "capture_exceeds_hold", None, None, None]
    assert [each["hold"]["held"] for each in outcomes[3:]] == ["20.00", "25.00", "0.00"]
    assert outcomes[5]["hold"]["status"] == "released"
    balance = api.get(f"/accounts/{ann}/balance").json()
    assert (balance["balance"], balance["held"]) == ("50.00", "20.00")


def test_events_of_holds_cross_the_api_in_decimals(api: Caller) -> None:
    ann = api.open("100.00")
    api.post(f"/holds/{place(api, ann)}/capture", {"amount": "72.50", "currency": "EUR"})

    placed, captured = (event["data"] for event in api.get(f"/accounts/{ann}/events").json()["results"][1:])

    assert (placed["amount"], placed["held"]) == ("80.00", "80.00")
    told = (captured["amount"], captured["released"], captured["held"], captured["balance"])
    assert told == ("-72.50", "7.50", "0.00", "27.50")
