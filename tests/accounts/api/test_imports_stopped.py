"""What stops an import before its end, or keeps it from beginning, and what is left of it then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connections
from django.http import HttpResponse

from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import, ImportRefusal
from accounts.services import imports
from accounts.services.imports import CHUNK
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
