"""Where an import stops, to the line, the byte and the second."""

import io
from copy import copy

import psycopg
import pytest
from django.core.management import call_command

from accounts.api.uploads import PIECE, pieces_of
from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Import
from accounts.services import imports
from accounts.services.import_lines import MAX_LINE
from accounts.services.import_progress import ImportKey, Taken, announce, begun, write
from accounts.services.imports import CHUNK, Interrupted
from tests.accounts.api.caller import Caller
from tests.accounts.api.importing import counts, deposit, file_of, send, where


def test_the_line_that_reaches_the_limit_of_refusals_is_the_last_chunk_s(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_REFUSALS", CHUNK)
    assert where(send(api, b"{}\n" * 2 * CHUNK)) == (422, "import_refusal_limit", CHUNK)


def test_a_line_may_be_as_long_as_is_said_and_no_longer(api: Caller) -> None:
    line = file_of(deposit(api.open())).rstrip()
    longest = line + b" " * (MAX_LINE - len(line))
    assert counts(send(api, longest + b"\n", key="longest")) == (1, 1, 0, True)
    assert where(send(api, longest + b" \n", key="too-long")) == (400, "import_incomplete", 0)
    assert Import.objects.filter(key="too-long", position__gt=0).count() == 0


def test_a_last_line_that_is_whole_without_its_newline_and_refused_ends_the_file(api: Caller) -> None:
    assert counts(send(api, b'{"command": "unheard of"}')) == (1, 0, 1, True)


def test_a_file_that_ends_before_what_was_taken_of_it_is_told_where(api: Caller) -> None:
    line = file_of(deposit(api.open()))
    assert counts(send(api, line * 3)) == (3, 3, 0, True)
    answer = send(api, line * 2)
    assert where(answer) == (409, "import_differs", 3)
    assert "taken up to line 3, and this one ends after line 2" in answer.json()["detail"]


def test_a_chunk_that_was_written_down_and_not_heard_of_is_written_again(db: None) -> None:
    """The answer to the COMMIT was lost: it may be our own write that stands there, or somebody else's."""
    record = begun(ImportKey("client:acme", "key"))
    announce(record, 2)
    unheard, elsewhere = copy(record), copy(record)
    taken = Taken(position=2, digest=b"a" * 32, executed=2, refusals=[], is_last=False)
    write(record, taken)

    write(unheard, taken)
    assert (unheard.position, unheard.executed) == (2, 2)

    with pytest.raises(Refusal) as refused:
        write(elsewhere, taken._replace(digest=b"b" * 32))
    assert refused.value.code is ErrorCode.IMPORT_IN_PROGRESS
    assert bytes(Import.objects.get().digest) == b"a" * 32


def test_an_old_import_that_somebody_goes_on_with_is_left_for_the_next_cleanup(
    api: Caller, sweeper: psycopg.Connection
) -> None:
    account_id = api.open()
    for key in ("busy", "other"):
        send(api, file_of(deposit(account_id)), key=key)
    sweeper.execute("UPDATE imports SET updated_at = updated_at - interval '10 years'")
    with sweeper.transaction():
        sweeper.execute("SELECT FROM imports WHERE key = 'busy' FOR UPDATE")
        call_command("cleanup")
    assert list(Import.objects.values_list("key", flat=True)) == ["busy"]


def test_no_more_is_read_than_the_body_holds() -> None:
    stream = io.BytesIO(b"x" * (PIECE + 10) + b"the next request")
    assert b"".join(pieces_of(stream, PIECE + 10, time_limit=5)) == b"x" * (PIECE + 10)
    assert stream.read() == b"the next request"


def test_a_body_that_ends_too_early_is_not_taken_for_whole() -> None:
    pieces = pieces_of(io.BytesIO(b"abc"), 5, time_limit=5)
    assert next(pieces) == b"abc"
    with pytest.raises(Interrupted, match="broke before the end"):
        next(pieces)


def test_a_body_that_came_whole_is_taken_however_late_the_last_of_it_came() -> None:
    assert list(pieces_of(io.BytesIO(b"abc"), 3, time_limit=-1)) == [b"abc"]
    slow = pieces_of(io.BytesIO(b"x" * PIECE * 2), PIECE * 2, time_limit=-1)
    assert len(next(slow)) == PIECE
    with pytest.raises(Interrupted, match="One request takes at most"):
        next(slow)
