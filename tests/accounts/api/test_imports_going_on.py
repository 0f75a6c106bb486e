"""An import that broke off goes on where it stopped, from the whole file or its rest."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import
from accounts.services import imports
from accounts.services.imports import CHUNK
from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.accounts.api.importing import KEY, broken, counts, deposit, file_of, send, take, take_and_die, where
from tests.bank import Bank


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


@pytest.mark.parametrize("hours", [0, 46])
def test_what_was_executed_and_not_written_down_is_told_apart_by_its_keys(
    api: Caller, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    account_id = api.open()
    lines = [deposit(account_id)] * 4
    take_and_die(api, file_of(*lines), monkeypatch)
    Import.objects.update(tried_at=timezone.now() - timedelta(hours=hours))
    assert api.balance(account_id) == "4.00"

    assert counts(send(api, file_of(*lines))) == (4, 4, 0, True)
    assert api.balance(account_id) == "4.00"


def test_once_its_keys_may_be_forgotten_it_does_not_guess(
    api: Caller, bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = api.open()
    lines = [deposit(account_id)] * (CHUNK + 1)
    take_and_die(api, file_of(*lines), monkeypatch)
    Import.objects.update(tried_at=timezone.now() - timedelta(hours=47, minutes=30))
    sweeper.execute("DELETE FROM idempotency_records")
    before = bank.footprint()

    for answer in (send(api, file_of(*lines)), send(api, file_of(*lines), after=0)):
        assert where(answer) == (409, "import_outcome_unknown", 0)
        assert answer.json()["detail"].startswith(f"Lines 1 to {CHUNK} were begun at ")
    assert bank.footprint() == before
    assert counts(api.get(f"/imports/{KEY}")) == (0, 0, 0, False)


def test_a_part_of_those_lines_does_not_vouch_for_the_rest(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = api.open()
    lines = [deposit(account_id)] * 4
    take_and_die(api, file_of(*lines), monkeypatch)
    with pytest.raises(Refusal):
        take(api, broken(file_of(*lines[:2])))
    Import.objects.update(tried_at=timezone.now() - timedelta(hours=48))

    answer = send(api, file_of(*lines[2:]), after=2)

    assert where(answer) == (409, "import_outcome_unknown", 2)
    assert answer.json()["detail"].startswith("Lines 3 to 4 were begun at ")
    assert api.balance(account_id) == "4.00"


def test_an_import_that_stopped_between_chunks_goes_on_however_late(api: Caller, sweeper: psycopg.Connection) -> None:
    account_id = api.open()
    with pytest.raises(Refusal):
        take(api, broken(file_of(*[deposit(account_id)] * 3)))
    Import.objects.update(tried_at=timezone.now() - timedelta(days=30))
    sweeper.execute("DELETE FROM idempotency_records")

    assert counts(send(api, file_of(*[deposit(account_id)] * 4))) == (4, 4, 0, True)
    assert api.balance(account_id) == "4.00"


def test_a_file_without_lines_does_not_finish_what_was_begun(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    take_and_die(api, file_of(deposit(api.open())), monkeypatch)

    assert refusal(send(api, b"")) == (400, "malformed_request")
    assert counts(api.get(f"/imports/{KEY}")) == (0, 0, 0, False)


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
    assert "not valid JSON" in answer.json()["detail"], "what is wrong with it, where the file was not cut off"
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
