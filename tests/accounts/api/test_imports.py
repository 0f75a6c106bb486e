"""POST /imports executes a file of commands, one a line, each once."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from accounts.api.scopes import ACCOUNTS_ADMIN, ACCOUNTS_READ, PAYMENTS_WRITE
from accounts.models import Import, ImportRefusal
from accounts.services import import_retention
from accounts.services.imports import CHUNK
from eventstore.models import Event
from ops.access.keys import revoke_key
from ops.models import ApiKey
from ops.operations import active
from tests.accounts.api.caller import Caller, new_caller, refusal
from tests.accounts.api.importing import KEY, counts, deposit, file_of, send, take, where, withdraw
from tests.bank import Bank


def test_each_line_is_executed_in_order(api: Caller) -> None:
    account_id = api.open()

    answer = send(api, file_of(*[deposit(account_id, "5.00"), withdraw(account_id, "5.00")] * 600))

    assert answer.status_code == 200
    assert counts(answer) == (1200, 1200, 0, True)
    assert api.balance(account_id) == "0.00"
    kinds = Event.objects.filter(aggregate_id=account_id).order_by("version").values_list("event_type", flat=True)[1:]
    assert list(kinds) == ["Deposited", "Withdrawn"] * 600


def test_a_line_has_the_key_of_the_import_and_its_number_unless_it_brings_its_own(api: Caller) -> None:
    account_id = api.open()
    body = {"amount": "1.00", "currency": "EUR"}

    send(api, file_of(deposit(account_id), deposit(account_id, idempotency_key="mine")))

    for key in (f"{KEY}:1", "mine"):
        assert api.post(f"/accounts/{account_id}/deposits", body, key=key)["Idempotent-Replayed"] == "true"
    assert api.balance(account_id) == "2.00"


def test_refused_lines_do_nothing_stop_nobody_and_are_told(api: Caller, bank: Bank) -> None:
    account_id, theirs = api.open("1.00"), bank.open("9.00")
    lines = [
        json.dumps(withdraw(account_id, "1.50")).encode(),
        b"{not json",
        b'"text"',
        b"\xff",
        b'{"command": "deposit", "command": "withdraw"}',
        json.dumps({"command": "steal"}).encode(),
        json.dumps(withdraw(theirs, "1.00")).encode(),
        json.dumps(deposit(account_id, ammount="1.00")).encode(),
        json.dumps(deposit(account_id)).encode(),
    ]

    answer = send(api, b"\n".join(lines) + b"\n")

    assert counts(answer) == (9, 1, 8, True)
    assert [(each["line"], each["problem"]["code"]) for each in answer.json()["refusals"]] == [
        (1, "insufficient_funds"),
        (2, "malformed_request"),
        (3, "malformed_request"),
        (4, "malformed_request"),
        (5, "malformed_request"),
        (6, "validation_failed"),
        (7, "account_not_found"),
        (8, "unknown_field"),
    ]
    assert (api.balance(account_id), bank.balance(theirs)) == ("2.00", 900)


@pytest.mark.parametrize(
    "wrong", [{"contra": "\0"}, {"a\0b": "1"}, {"contra": "x" * 60_000}], ids=["value", "name", "long"]
)
def test_a_refusal_that_repeats_what_was_sent_can_be_kept(api: Caller, wrong: dict[str, str]) -> None:
    account_id = api.open()

    answer = send(api, file_of(deposit(account_id), deposit(account_id, **wrong), deposit(account_id)))

    assert counts(answer) == (3, 2, 1, True)
    assert [each["line"] for each in answer.json()["refusals"]] == [2]
    assert len(answer.content) < 2000
    assert api.balance(account_id) == "2.00"


def test_a_line_on_an_account_that_contradicts_its_events_stops_nobody_else(
    api: Caller, sweeper: psycopg.Connection
) -> None:
    ann, bob = api.open("1.00"), api.open("1.00")
    sweeper.execute("UPDATE accounts SET version = version + 1 WHERE id = %s", (ann,))

    answer = send(api, file_of(deposit(bob), deposit(ann), deposit(bob)))

    assert counts(answer) == (3, 2, 1, True)
    [refused] = answer.json()["refusals"]
    assert (refused["line"], refused["problem"]["code"]) == (2, "broken_history")
    assert (api.balance(ann), api.balance(bob)) == ("1.00", "3.00")


def test_a_line_that_fails_its_whole_chunk_stops_nobody_else(
    api: Caller, bank: Bank, sweeper: psycopg.Connection
) -> None:
    ann, bob = api.open("1.00"), api.open("1.00")
    admin = new_caller(scopes=(PAYMENTS_WRITE, ACCOUNTS_ADMIN))
    paid = api.post(f"/accounts/{bob}/deposits", {"amount": "1.00", "currency": "EUR"}).json()["transaction_id"]
    sweeper.execute("UPDATE events SET data = '{}' WHERE command_id = %s", (paid,))
    reversal = {"command": "reverse", "transaction_id": paid}
    lines = [
        deposit(ann, "3.00"),
        *[withdraw(ann, "1.00")] * 3,
        reversal,
        withdraw(ann, "1.00"),
        withdraw(ann, "1.00"),
    ]

    answer = send(admin, file_of(*lines))

    assert counts(answer) == (7, 5, 2, True)
    told = [(each["line"], each["problem"]["code"]) for each in answer.json()["refusals"]]
    assert told == [(5, "broken_history"), (7, "insufficient_funds")]
    assert api.balance(ann) == "0.00"


def test_blank_lines_are_counted_and_passed_over(api: Caller) -> None:
    account_id = api.open()

    answer = send(api, b"\n  \r\n" + file_of(deposit(account_id)).replace(b"\n", b"\r\n") + b"\n")

    assert counts(answer) == (4, 1, 0, True)
    assert api.balance(account_id) == "1.00"


def test_the_same_file_again_moves_nothing_and_is_answered_the_same(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    body = file_of(deposit(account_id), withdraw(account_id, "9.00"))
    first = send(api, body)
    before = bank.footprint()

    again, rest = send(api, body), send(api, b"", after=2)

    assert again.content == first.content == rest.content
    assert again["Idempotent-Replayed"] == rest["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert bank.footprint() == before


def test_lines_that_were_taken_are_not_executed_again_when_their_keys_are_forgotten(
    api: Caller, sweeper: psycopg.Connection
) -> None:
    account_id = api.open()
    body = file_of(*[deposit(account_id)] * 3)
    send(api, body)
    sweeper.execute("DELETE FROM idempotency_records")

    assert counts(send(api, body)) == (3, 3, 0, True)
    assert api.balance(account_id) == "3.00"


@pytest.mark.parametrize("other", ["changed", "shorter", "longer"])
def test_another_file_under_the_same_key_is_refused(api: Caller, bank: Bank, other: str) -> None:
    account_id = api.open()
    lines = [deposit(account_id)] * 3
    send(api, file_of(*lines))
    before = bank.footprint()
    body = {
        "changed": file_of(deposit(account_id, "2.00"), *lines[1:]),
        "shorter": file_of(*lines[:2]),
        "longer": file_of(*lines, deposit(account_id)),
    }[other]

    answer = send(api, body)

    assert where(answer) == (409, "import_differs", 3)
    assert bank.footprint() == before


def test_staff_see_it_while_it_runs(api: Caller) -> None:
    account_id = api.open()
    seen: list[dict[str, Any]] = []

    def pieces() -> Iterator[bytes]:
        yield file_of(*[deposit(account_id)] * CHUNK)
        seen.extend(active())

    take(api, pieces())

    assert [(each["kind"], each["name"], each["step"]) for each in seen] == [("import", KEY, f"line {CHUNK}")]


def test_progress_and_refusals_can_be_asked_for(api: Caller) -> None:
    account_id = api.open()
    answer = send(api, file_of(*[withdraw(account_id, "1.00")] * 30, deposit(account_id)))

    assert api.get(f"/imports/{KEY}").json() == answer.json()
    assert len(answer.json()["refusals"]) == 20
    first = api.get(f"/imports/{KEY}/refusals", {"page_size": "25"}).json()
    second = api.get(f"/imports/{KEY}/refusals", {"page_size": "25", "cursor": first["next_cursor"]}).json()
    assert [each["line"] for each in first["results"] + second["results"]] == list(range(1, 31))
    assert second["next"] is None


def test_another_client_neither_sees_it_nor_meets_it(api: Caller) -> None:
    other = new_caller("other")
    send(api, file_of(deposit(api.open())))

    for path in (f"/imports/{KEY}", f"/imports/{KEY}/refusals"):
        assert refusal(other.get(path)) == (404, "import_not_found")
    assert counts(send(other, file_of(deposit(other.open(), "2.00")))) == (1, 1, 0, True)


def test_each_line_takes_its_own_scope(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    payer, reader = new_caller(scopes=(PAYMENTS_WRITE,)), new_caller(scopes=(ACCOUNTS_READ,))

    answer = send(payer, file_of({"command": "freeze", "account_id": account_id}, deposit(account_id)))

    assert [each["problem"]["code"] for each in answer.json()["refusals"]] == ["permission_denied"]
    assert api.balance(account_id) == "1.00"
    before = bank.footprint()
    assert refusal(send(reader, file_of(deposit(account_id)))) == (403, "permission_denied")
    assert refusal(send(Caller("bk_no", api.client), file_of(deposit(account_id)))) == (401, "not_authenticated")
    assert bank.footprint() == before


def test_a_key_that_is_revoked_ends_it(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from accounts.api import imports as route

    monkeypatch.setattr(route, "KEY_IS_CHECKED_EVERY", 0.0)
    account_id = api.open()
    coming = route.pieces_of

    def slowly(*args: Any, **options: Any) -> Iterator[bytes]:
        for number, piece in enumerate(coming(*args, **options)):
            if number == 2:
                revoke_key(ApiKey.objects.get())
            yield piece

    monkeypatch.setattr(route, "pieces_of", slowly)
    answer = send(api, file_of(*[deposit(account_id, "0.01")] * 2000))

    assert refusal(answer) == (401, "not_authenticated")
    assert answer.json()["detail"].endswith(" Lines up to 0 were taken.")
    assert answer["WWW-Authenticate"]
    assert Event.objects.filter(aggregate_id=account_id).count() == 1


def test_a_client_whose_reach_is_changed_meanwhile_goes_on_in_a_request_with_the_new_one(
    bank: Bank, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.api import imports as route

    api = new_caller("clearing", reach="all")
    theirs = bank.open("9.00")
    body = file_of(*[withdraw(theirs, "0.01")] * (2 * CHUNK))
    coming = route.pieces_of

    def slowly(*args: Any, **options: Any) -> Iterator[bytes]:
        for number, piece in enumerate(coming(*args, **options)):
            yield piece
            if number * len(piece) > 0.75 * len(body) and api.client.reach == "all":
                api.client.reach = "own"
                api.client.save()

    monkeypatch.setattr(route, "pieces_of", slowly)
    answer = send(api, body)

    assert where(answer) == (409, "import_reach_changed", CHUNK)
    assert answer.json()["detail"] == (
        f"Which accounts the sender may act for was changed meanwhile. What follows line {CHUNK} was not executed: "
        "go on with the same key, and it is as far as the sender reaches now."
    )
    assert bank.balance(theirs) == 900 - CHUNK
    assert counts(send(api, body)) == (2 * CHUNK, CHUNK, CHUNK, True)
    assert bank.balance(theirs) == 900 - CHUNK


@pytest.mark.parametrize("key", ["", "a b", "é", "a/b", "x" * 201])
def test_an_import_needs_a_key_that_fits_into_a_path(api: Caller, key: str) -> None:
    assert refusal(send(api, file_of(deposit(api.open())), key=key)) == (400, "idempotency_key_required")
    assert not Import.objects.exists()


def test_what_is_no_file_of_lines_is_refused(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    line, before = file_of(deposit(account_id)), bank.footprint()

    assert refusal(send(api, b"")) == (400, "malformed_request")
    assert refusal(send(api, line, **{"Content-Type": "application/json"})) == (415, "unsupported_media_type")
    assert refusal(send(api, line, **{"Transfer-Encoding": "chunked"})) == (400, "malformed_request")
    assert refusal(send(api, line, **{"If-Match": '"1"'})) == (400, "malformed_request")
    assert bank.footprint() == before
    assert not Import.objects.exists()


def test_old_imports_are_forgotten_and_what_they_did_stays(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    send(api, file_of(deposit(account_id), withdraw(account_id, "9.00")), key="old")
    Import.objects.update(updated_at=timezone.now() - timezone.timedelta(days=401))
    send(api, file_of(deposit(account_id), withdraw(account_id, "9.00")), key="new")
    before = bank.footprint()

    assert import_retention.clean_up(True, lambda kind: None).removed == {"imports": 1}
    assert import_retention.clean_up(False, lambda kind: None).removed == {"imports": 1}

    assert list(Import.objects.values_list("key", flat=True)) == ["new"]
    assert ImportRefusal.objects.count() == 1
    assert bank.footprint() == before
