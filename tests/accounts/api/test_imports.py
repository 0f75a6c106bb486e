"""POST /imports executes a file of commands, one a line, and goes on where it stopped."""

import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections
from django.http import HttpResponse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.api.imports import line_reader
from accounts.api.items import Sender
from accounts.api.scopes import ACCOUNTS_READ, PAYMENTS_WRITE
from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services import import_retention, imports
from accounts.services.imports import CHUNK, ImportKey, Interrupted
from eventstore.events import Context
from eventstore.models import Event
from ops.access.keys import revoke_key
from ops.database.locks import session_lock
from ops.models import ApiKey
from ops.operations import active
from tests.accounts.api.caller import API, Caller, fields_at_fault, new_caller, refusal, require_documented
from tests.bank import Bank

KEY = "night-run"


def deposit(account_id: object, amount: str = "1.00", **fields: Any) -> dict[str, Any]:
    return {"command": "deposit", "account_id": str(account_id), "amount": amount, "currency": "EUR", **fields}


def withdraw(account_id: object, amount: str) -> dict[str, Any]:
    return deposit(account_id, amount) | {"command": "withdraw"}


def file_of(*items: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def send(api: Caller, body: bytes, *, key: str = KEY, after: int | str | None = None, **headers: str) -> HttpResponse:
    given = {"Authorization": f"Bearer {api.token}", "Idempotency-Key": key} | headers
    answer = api.http.generic(
        "POST",
        f"{API}/imports",
        body,
        content_type=given.pop("Content-Type", "application/x-ndjson"),
        query_params=None if after is None else {"after": str(after)},
        headers={name: value for name, value in given.items() if value},
    )
    require_documented("POST", "/imports", answer)
    return answer  # type: ignore[no-any-return]


def counts(answer: HttpResponse) -> tuple[int, int, int, bool]:
    """(position, executed, refused, finished)."""
    body = answer.json()
    return body["position"], body["executed"], body["refused"], body["finished"]


def where(answer: HttpResponse) -> tuple[int, str, int]:
    """(status, code, position) of a problem."""
    return (*refusal(answer), answer.json()["position"])


def take(api: Caller, pieces: Iterable[bytes], *, after: int = 0, key: str = KEY) -> Import:
    """As the route does, for bodies that the test client cannot send: through the service, in the client's name."""
    name = ImportKey(api.client.actor, key)
    sender = Sender.of_client(api.client, (PAYMENTS_WRITE,), key, Context(api.client.actor, "api"))
    record, _ = imports.run(name, pieces, line_reader(sender), actor="test", after=after)
    return record


def broken(body: bytes, size: int = 700) -> Iterator[bytes]:
    """A body whose connection breaks after it."""
    yield from (body[start : start + size] for start in range(0, len(body), size))
    raise Interrupted("The connection broke.")


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


@pytest.mark.parametrize("after", [1, 2, 4, 500])
def test_the_rest_of_a_file_must_follow_the_position(api: Caller, bank: Bank, after: int) -> None:
    account_id = api.open()
    with pytest.raises(Refusal):
        take(api, broken(file_of(*[deposit(account_id)] * 3)))
    before = bank.footprint()

    answer = send(api, file_of(deposit(account_id)), after=after)

    assert where(answer) == (409, "import_position_mismatch", 3)
    assert bank.footprint() == before
    assert counts(send(api, file_of(deposit(account_id)), after=3)) == (4, 4, 0, True)


def test_the_rest_of_an_import_that_was_not_begun_is_refused(api: Caller) -> None:
    assert where(send(api, file_of(deposit(api.open())), after=7)) == (409, "import_position_mismatch", 0)


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "9" * 30])
def test_after_is_a_number_of_lines(api: Caller, after: str) -> None:
    answer = send(api, file_of(deposit(api.open())), after=after)

    assert refusal(answer) == (400, "validation_failed")
    assert fields_at_fault(answer) == {"after": "validation_failed"}
    assert not Import.objects.exists()


@pytest.mark.parametrize("whole", [True, False], ids=["whole file again", "rest alone"])
@pytest.mark.parametrize("at", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 100])
def test_after_a_break_it_goes_on_and_nothing_is_executed_twice(api: Caller, at: int, whole: bool) -> None:
    account_id = api.open()
    lines = [deposit(account_id, "0.01")] * (2 * CHUNK + 100)
    half_a_line = b'{"command": "dep'
    with pytest.raises(Refusal) as stopped:
        take(api, broken(file_of(*lines[:at]) + half_a_line))
    assert (stopped.value.code, stopped.value.extra["position"]) == (ErrorCode.IMPORT_INCOMPLETE, at)
    assert api.balance(account_id) == f"{at // 100}.{at % 100:02}"

    answer = send(api, file_of(*lines)) if whole else send(api, file_of(*lines[at:]), after=at)

    assert counts(answer) == (1100, 1100, 0, True)
    assert api.balance(account_id) == "11.00"


def test_what_was_executed_and_not_written_down_is_told_apart_by_its_keys(api: Caller) -> None:
    """A process died between the two."""
    account_id = api.open()
    lines = [deposit(account_id)] * 4
    take(api, [file_of(*lines)])
    Import.objects.all().delete()

    assert counts(send(api, file_of(*lines))) == (4, 4, 0, True)
    assert api.balance(account_id) == "4.00"


def test_a_last_line_without_its_newline_is_taken_when_it_is_whole(api: Caller) -> None:
    account_id = api.open()

    assert counts(send(api, file_of(deposit(account_id), deposit(account_id))[:-1])) == (2, 2, 0, True)
    assert counts(send(api, file_of(deposit(account_id), deposit(account_id)))) == (2, 2, 0, True)


def test_a_last_line_that_is_cut_off_is_not_taken(api: Caller) -> None:
    account_id = api.open()
    body = file_of(deposit(account_id), deposit(account_id, "7.00"))

    answer = send(api, body[:-10])

    assert where(answer) == (400, "import_incomplete", 1)
    assert "line 2" in answer.json()["detail"]
    assert api.balance(account_id) == "1.00"
    assert counts(send(api, body)) == (2, 2, 0, True)
    assert api.balance(account_id) == "8.00"


def test_a_line_that_is_too_long_stops_it_and_can_be_mended(api: Caller) -> None:
    account_id = api.open()
    line = json.dumps(deposit(account_id)).encode()
    longest = line + b" " * (64 * 1024 - len(line))

    assert counts(send(api, longest + b"\n", key="fits")) == (1, 1, 0, True)
    answer = send(api, line + b"\n" + longest + b" \n" + line + b"\n")

    assert where(answer) == (400, "import_incomplete", 1)
    assert "Line 2 " in answer.json()["detail"]
    assert api.balance(account_id) == "2.00"
    assert counts(send(api, (line + b"\n") * 3)) == (3, 3, 0, True)


def test_a_file_without_an_end_to_its_line_is_never_held_in_memory(api: Caller) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 16_384
            yield b"x" * 16_384

    with pytest.raises(Refusal):
        take(api, endless())
    assert read < 128 * 1024


def test_no_more_is_read_than_the_chunk_in_hand_takes(api: Caller) -> None:
    account_id = api.open()
    taken: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(3 * CHUNK):
            stands = Import.objects.values_list("position", flat=True).first() or 0
            taken.append(number - stands)
            yield file_of(deposit(account_id, "0.01"))

    take(api, pieces())

    assert max(taken) <= CHUNK


def test_an_import_that_is_running_is_not_run_twice(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    def held() -> HttpResponse:
        try:
            return send(api, file_of(deposit(account_id)))
        finally:
            connections.close_all()

    with session_lock(f"import {api.client.actor} {KEY}") as own, ThreadPoolExecutor(1) as pool:
        assert own
        answer = pool.submit(held).result(timeout=30)

    assert refusal(answer) == (409, "import_in_progress")
    assert answer["Retry-After"] == "1"
    assert bank.footprint() == before
    assert counts(send(api, file_of(deposit(account_id)))) == (1, 1, 0, True)


def test_one_that_somebody_else_moved_on_stops_and_executes_nothing_twice(api: Caller) -> None:
    """The lock goes with its connection; the position is what counts."""
    account_id = api.open()
    lines = [deposit(account_id, "0.01")] * (CHUNK + 1)

    def pieces() -> Iterator[bytes]:
        yield file_of(*lines[:CHUNK])
        Import.objects.update(position=CHUNK + 1)
        yield file_of(*lines[CHUNK:])

    with pytest.raises(Refusal) as refused:
        take(api, pieces())

    assert refused.value.code is ErrorCode.IMPORT_IN_PROGRESS
    assert api.balance(account_id) == "5.01"


def test_a_process_takes_two_imports_at_once(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()
    for _ in range(imports.AT_ONCE):
        assert imports._room.acquire(blocking=False)
    try:
        answer = send(api, file_of(deposit(account_id)))
    finally:
        imports._room.release(imports.AT_ONCE)

    assert refusal(answer) == (503, "overloaded")
    assert answer["Retry-After"] == "1"
    assert bank.footprint() == before


def test_locks_that_are_not_had_stop_it_before_the_chunk(
    api: Caller, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "WAITS", (0.05,))
    monkeypatch.setenv("LOCK_TIMEOUT_MS", "100")
    free, busy = api.open(), api.open()
    lines = [deposit(free, "0.01")] * CHUNK + [deposit(busy)]
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as holder:
        holder.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (busy,))
        answer = send(api, file_of(*lines))

    assert where(answer) == (503, "overloaded", CHUNK)
    assert (api.balance(free), api.balance(busy)) == ("5.00", "0.00")
    assert counts(send(api, file_of(*lines))) == (CHUNK + 1, CHUNK + 1, 0, True)


def test_too_many_refused_lines_stop_it(api: Caller, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MAX_REFUSALS", 600)
    account_id = api.open()
    body = b"{}\n" * 3 * CHUNK + file_of(deposit(account_id))
    before = bank.footprint()

    for _ in range(2):
        assert where(send(api, body)) == (422, "import_refusal_limit", 2 * CHUNK)
    assert ImportRefusal.objects.count() == 2 * CHUNK
    assert bank.footprint() == before


def test_stopped_by_staff_it_stops_after_the_chunk_and_goes_on_when_it_is_let(api: Caller) -> None:
    account_id = api.open()
    lines = [deposit(account_id, "0.01")] * 3 * CHUNK

    def pieces() -> Iterator[bytes]:
        yield file_of(*lines[:CHUNK])
        Import.objects.update(stopped_by="staff:alice")
        yield file_of(*lines[CHUNK:])

    with pytest.raises(Refusal) as stopped:
        take(api, pieces())
    assert (stopped.value.code, stopped.value.extra["position"]) == (ErrorCode.IMPORT_STOPPED, 2 * CHUNK)
    assert where(send(api, file_of(*lines))) == (409, "import_stopped", 2 * CHUNK)
    assert api.balance(account_id) == "10.00"

    Import.objects.update(stopped_by="")
    assert counts(send(api, file_of(*lines))) == (1500, 1500, 0, True)


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
    assert Event.objects.filter(aggregate_id=account_id).count() <= CHUNK + 1


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


MOVES = st.lists(
    st.tuples(st.sampled_from(["deposit", "withdraw", "blank", "nonsense"]), st.integers(1, 9)), max_size=40
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, cuts=st.lists(st.floats(0, 1), max_size=6), whole=st.booleans(), chunk=st.integers(1, 7))
def test_cut_anywhere_and_gone_on_with_it_leaves_the_same_books_as_in_one_go(
    api: Caller, moves: list[tuple[str, int]], cuts: list[float], whole: bool, chunk: int
) -> None:
    key = f"cut-{time.monotonic_ns()}"
    one, many = api.open(), api.open()

    def body(account_id: str) -> bytes:
        texts = {"blank": b"\n", "nonsense": b"{]\n"}
        return (
            b"".join(
                texts.get(kind) or file_of(deposit(account_id, f"{amount}.00") | {"command": kind})
                for kind, amount in moves
            )
            or b"\n"
        )

    imports.CHUNK, kept = chunk, imports.CHUNK
    try:
        expected = take(api, [body(one)], key=f"{key}-one")
        position, file = 0, body(many)
        for cut in sorted(cuts):
            end = round(cut * len(file))
            start = 0 if whole else len(b"\n".join(file.split(b"\n")[:position])) + bool(position)
            if end < start:
                continue
            with pytest.raises(Refusal) as stopped:
                take(api, broken(file[start:end], 50), key=key, after=0 if whole else position)
            assert stopped.value.code is ErrorCode.IMPORT_INCOMPLETE or not end
            position = stopped.value.extra.get("position", position)
            assert position in (file[:end].count(b"\n"), file[:end].count(b"\n") + 1)
        start = 0 if whole else len(b"\n".join(file.split(b"\n")[:position])) + bool(position)
        record = take(api, [file[start:]], key=key, after=0 if whole else position)
    finally:
        imports.CHUNK = kept

    assert record.finished_at is not None
    assert (record.position, record.executed, record.refused) == (
        expected.position,
        expected.executed,
        expected.refused,
    )
    assert api.balance(many) == api.balance(one)
    assert _events(many) == _events(one)


def _events(account_id: str) -> list[tuple[str, Any]]:
    rows = Event.objects.filter(aggregate_id=UUID(account_id)).order_by("version")
    return [(row.event_type, row.data.get("amount")) for row in rows]
