"""What stops an import before its end, or keeps it from beginning, and what is left of it then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.http import HttpResponse

from accounts.api import imports as route
from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services import imports
from accounts.services.imports import CHUNK
from eventstore.idempotency import IdempotencyKey
from ops.database.locks import session_lock
from tests.accounts.api.caller import Caller, refusal
from tests.accounts.api.importing import KEY, counts, deposit, file_of, send, take, where
from tests.bank import Bank


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


def test_one_that_somebody_else_moved_on_stops_before_the_next_chunk(api: Caller) -> None:
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
    assert api.balance(account_id) == "5.00"


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

    assert where(answer) == (503, "import_interrupted", CHUNK)
    assert answer["Retry-After"] == "1"
    assert (api.balance(free), api.balance(busy)) == ("5.00", "0.00")
    assert counts(send(api, file_of(*lines))) == (CHUNK + 1, CHUNK + 1, 0, True)


def test_a_line_whose_key_is_being_worked_on_is_waited_for_and_not_refused(
    api: Caller, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "WAITS", (0.05,))
    account_id = api.open()
    body = file_of(*[deposit(account_id)] * 3)
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as other:
        pair = IdempotencyKey("client:acme", f"{KEY}:2", bytes(32)).lock_pair()
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", pair)
        assert where(send(api, body)) == (503, "import_interrupted", 0)

    assert counts(send(api, body)) == (3, 3, 0, True)
    assert api.balance(account_id) == "3.00"
    assert not ImportRefusal.objects.exists()


def test_a_database_that_is_lost_while_the_file_comes_stops_it_and_says_where(
    api: Caller, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "KEY_IS_CHECKED_EVERY", 0.0)
    monkeypatch.setenv("API_KEY_TRUST", "0")
    account_id = api.open()
    lines = [deposit(account_id, "0.01")] * 3 * CHUNK
    coming = route.pieces_of

    def losing(*args: Any, **options: Any) -> Iterator[bytes]:
        for piece in coming(*args, **options):
            if Import.objects.filter(position=CHUNK).exists():
                lose_the_connection(sweeper)
            yield piece

    monkeypatch.setattr(route, "pieces_of", losing)
    answer = send(api, file_of(*lines))
    monkeypatch.undo()
    connection.close()

    assert where(answer) == (503, "import_interrupted", CHUNK)
    assert answer.json()["detail"].endswith(f"Go on after line {CHUNK}.")
    assert api.balance(account_id) == "5.00"
    assert counts(send(api, file_of(*lines[CHUNK:]), after=CHUNK)) == (1500, 1500, 0, True)
    assert api.balance(account_id) == "15.00"


def test_a_database_that_is_lost_at_the_end_does_not_make_it_undone(
    api: Caller, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = api.open()
    represented = route.represented

    def losing(record: Import) -> dict[str, Any]:
        lose_the_connection(sweeper)
        return represented(record)

    monkeypatch.setattr(route, "represented", losing)
    answer = send(api, file_of(deposit(account_id)))
    monkeypatch.undo()
    connection.close()

    assert where(answer) == (503, "import_interrupted", 1)
    assert api.balance(account_id) == "1.00"
    assert counts(send(api, b"", after=1)) == (1, 1, 0, True)


def lose_the_connection(sweeper: psycopg.Connection) -> None:
    connection.ensure_connection()
    sweeper.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.connection.info.backend_pid,))


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
