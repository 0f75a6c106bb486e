"""`seal_books` writes down what the books are; `verify_ledger --seals` finds what was done to them since, also by
somebody who can rewrite the whole database."""

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import LedgerProof
from accounts.tasks import verify_ledger
from eventstore import feed, projections
from eventstore.events import COLUMNS, StoredEvent
from eventstore.hashing import GENESIS
from eventstore.models import Event
from eventstore.projections.runner import catch_up
from ops.models import AuditEntry
from tests.bank import Bank
from tests.ops.admin.dialog import page_text
from tests.ops.operators import Operator
from tests.staff import make_staff, signed_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "seals.ndjson"


def seals_in(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_seal_is_a_digest_over_the_feed_that_anyone_can_make_anew(bank: Bank, file: Path) -> None:
    ann, bob = bank.open("100.00"), bank.open("3.00")
    bank.transfer(ann, bob, "10.00")

    call_command("seal_books", file)

    content = bytes(32)
    for position, hash_ in Event.objects.order_by("position").values_list("position", "hash"):
        content += position.to_bytes(8, "big") + bytes(hash_)
    (seal,) = seals_in(file)
    assert seal["digest"] == hashlib.sha256(content).hexdigest()
    assert (seal["position"], seal["events"]) == (Event.objects.latest("position").position, 6)


def test_each_seal_goes_on_from_the_one_before(bank: Bank, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ann = bank.open("100.00")
    call_command("seal_books", file)
    bank.withdraw(ann, "1.00")
    bank.withdraw(ann, "2.00")
    call_command("seal_books", file)
    bank.withdraw(ann, "4.00")  # not sealed yet

    assert [seal["events"] for seal in seals_in(file)] == [2, 2]
    capsys.readouterr()
    call_command("verify_ledger", "--seals", str(file))
    assert "The books agree: 2 seals, the last of " in capsys.readouterr().out


def test_where_nothing_has_happened_no_seal_is_made(
    bank: Bank, file: Path, sweeper: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    bank.open("100.00")
    call_command("seal_books", file)
    before = file.read_text()
    sweeper.execute("SELECT nextval('events_position_seq')")  # an append that was rolled back

    call_command("seal_books", file)

    assert file.read_text() == before
    assert "Nothing has happened since the last seal" in capsys.readouterr().out


@pytest.mark.usefixtures("db")
def test_empty_books_have_no_seal_and_a_file_without_one_proves_nothing(file: Path) -> None:
    call_command("seal_books", file)
    assert file.read_text() == ""
    with pytest.raises(CommandError, match="holds no seal"):
        call_command("verify_ledger", "--seals", str(file))


def test_what_an_open_append_may_still_put_in_between_is_not_sealed(bank: Bank, file: Path) -> None:
    bank.open()
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as slow:
        slow.execute("SELECT hold_feed()")
        bank.open()
        call_command("seal_books", file)
        slow.rollback()
    call_command("seal_books", file)

    assert [seal["events"] for seal in seals_in(file)] == [1, 1]
    call_command("verify_ledger", "--seals", str(file))


def rewrite(stream: UUID, database: psycopg.Connection) -> None:
    """Another reason for each event, every hash of the stream anew, and the head to fit: a chain that holds."""
    database.execute(
        'UPDATE events SET metadata = metadata || \'{"reason": "another"}\' WHERE aggregate_id = %s', (stream,)
    )
    previous = GENESIS
    rows = database.execute(
        f"SELECT {COLUMNS} FROM events WHERE aggregate_id = %s ORDER BY version".encode(), (stream,)
    ).fetchall()
    for stored in map(StoredEvent.from_row, rows):
        previous = stored.hash_after(previous)
        database.execute("UPDATE events SET hash = %s WHERE position = %s", (previous, stored.position))
    database.execute("UPDATE streams SET head_hash = %s WHERE aggregate_id = %s", (previous, stream))


def test_history_that_was_rewritten_so_that_all_hashes_fit_is_found_by_its_seal_alone(
    bank: Bank, file: Path, sweeper: psycopg.Connection
) -> None:
    ann = bank.open("100.00")
    call_command("seal_books", file)
    bob = bank.open("100.00")
    call_command("seal_books", file)
    bank.deposit(ann, "1.00")
    catch_up(projections.registered())
    first, second = seals_in(file)

    rewrite(bob, sweeper)

    call_command("verify_ledger")  # the books agree with themselves
    with pytest.raises(CommandError, match="1 differences") as told:
        call_command("verify_ledger", "--seals", str(file))
    assert f"positions {int(str(first['position'])) + 1} to {second['position']} are not those" in str(told.value)
    assert "2 then, 2 now" in str(told.value)


def test_a_proof_without_the_same_seals_does_not_take_back_what_one_with_them_found(
    bank: Bank, file: Path, sweeper: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, ann = Operator(), bank.open("100.00")
    catch_up(projections.registered())
    call_command("seal_books", file)
    rewrite(ann, sweeper)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("verify_ledger", "--seals", str(file))

    verify_ledger()

    assert list(LedgerProof.objects.order_by("id").values_list("seals", "differences")) == [(1, 1), (0, 0)]
    told = operator.component("ledger")
    assert (told["status"], told["values"]["differences"]) == ("unhealthy", 1)
    assert "when they were last held against seals" in told["reason"]
    auditor = signed_in(make_staff("auditor"))
    proofs = LedgerProof.objects.order_by("id").values_list("pk", flat=True)
    pages = [page_text(auditor.get(f"/admin/accounts/ledgerproof/{pk}/change/")) for pk in proofs]
    told_of_seals = [re.search(r"Held against seals(?:<[^>]*>|\s)+(\w+)", page) for page in pages]
    assert [told and told[1] for told in told_of_seals] == ["1", "none"]

    file.unlink()
    call_command("seal_books", file)  # of the books as they are now, since these cannot be put right
    capsys.readouterr()
    call_command("verify_ledger", "--seals", str(file))
    assert "1 seals that did not hold before were not tried" in capsys.readouterr().out
    verify_ledger()
    told = operator.component("ledger")
    assert (told["status"], told["values"]["differences"]) == ("unhealthy", 1)
    assert "not against the same ones" in told["reason"]

    with pytest.raises(CommandError, match="--acknowledge takes --seals"):
        call_command("verify_ledger", "--acknowledge", "a backup was restored")
    call_command("verify_ledger", "--seals", str(file), "--acknowledge", "a backup was restored")
    verify_ledger()
    assert operator.component("ledger")["reason"] == "the books agree"
    entry = AuditEntry.objects.get(action="acknowledge_seals")
    assert (entry.reason, entry.actor.startswith("command:")) == ("a backup was restored", True)


def test_books_that_were_put_right_are_proved_with_the_same_seals_also_where_the_file_has_grown(
    bank: Bank, file: Path, sweeper: psycopg.Connection
) -> None:
    operator, ann = Operator(), bank.open("100.00")
    catch_up(projections.registered())
    call_command("seal_books", file)
    kept = sweeper.execute("SELECT metadata, position FROM events").fetchall()
    heads = sweeper.execute("SELECT hash, position FROM events").fetchall()
    rewrite(ann, sweeper)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("verify_ledger", "--seals", str(file))
    for metadata, position in kept:
        sweeper.execute("UPDATE events SET metadata = %s WHERE position = %s", (json.dumps(metadata), position))
    for hash_, position in heads:
        sweeper.execute("UPDATE events SET hash = %s WHERE position = %s", (hash_, position))
    sweeper.execute("UPDATE streams SET head_hash = %s WHERE aggregate_id = %s", (heads[-1][0], ann))
    bank.open("3.00")
    catch_up(projections.registered())
    call_command("seal_books", file)

    call_command("verify_ledger", "--seals", str(file))

    assert operator.component("ledger")["reason"] == "the books agree"


ANN = "aggregate_id = (SELECT aggregate_id FROM events ORDER BY position LIMIT 1)"
DEEDS = {
    "the end is gone": "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
    "an event is gone": f"DELETE FROM events WHERE {ANN} AND version = 2",
    "an event is slipped in": (
        "INSERT INTO events SELECT position - 1, gen_random_uuid(), aggregate_type, 1, event_id, event_type, "
        "schema_version, command_id, data, metadata, timestamp, hash FROM events ORDER BY position DESC LIMIT 1"
    ),
    "events of two accounts change places": (
        "UPDATE events SET position = -position; UPDATE events SET position = CASE position"
        " WHEN (SELECT max(position) FROM events) THEN -(SELECT min(position) FROM events)"
        " WHEN (SELECT min(position) FROM events) THEN -(SELECT max(position) FROM events) ELSE -position END"
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_found(deed: str, bank: Bank, file: Path, sweeper: psycopg.Connection) -> None:
    bank.open("100.00")
    sweeper.execute("SELECT nextval('events_position_seq')")
    bank.open()
    call_command("seal_books", file)
    sweeper.execute(DEEDS[deed].encode())

    with pytest.raises(CommandError, match="are not those that were sealed"):
        call_command("verify_ledger", "--seals", str(file))


def test_books_that_were_put_back_to_an_earlier_state_are_not_sealed(
    bank: Bank, file: Path, sweeper: psycopg.Connection
) -> None:
    bank.open("100.00")
    call_command("seal_books", file)
    before = file.read_text()
    position = sweeper.execute("SELECT last_value FROM events_position_seq").fetchone()
    assert position
    sweeper.execute("DELETE FROM events WHERE position = %s", position)
    sweeper.execute("SELECT setval('events_position_seq', %s)", (position[0] - 1,))

    with pytest.raises(CommandError, match=r"No seal was made: .* events are missing"):
        call_command("seal_books", file)

    assert file.read_text() == before


def test_a_restored_backup_that_has_grown_past_the_last_seal_is_not_sealed_on(
    bank: Bank, file: Path, sweeper: psycopg.Connection
) -> None:
    ann = bank.open("100.00")
    call_command("seal_books", file)
    bank.deposit(ann, "1.00")
    call_command("seal_books", file)
    before = file.read_text()
    (last,) = seals_in(file)[1:]
    sweeper.execute("DELETE FROM events WHERE position = %s", (last["position"],))
    sweeper.execute("SELECT setval('events_position_seq', %s)", (int(str(last["position"])) - 1,))
    bank.open("3.00")
    assert Event.objects.latest("position").position > int(str(last["position"]))

    with pytest.raises(CommandError, match=r"No seal was made: the events of positions \d+ to \d+ are not those"):
        call_command("seal_books", file)

    assert file.read_text() == before


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda lines: ["no seal\n", *lines[1:]], "line 1 is not a seal"),
        (lambda lines: [lines[0], lines[1].replace('"digest":"', '"digest":"x')], "line 2 is not a seal"),
        (lambda lines: [*lines, lines[1][:40]], "line 3 does not end|line 3 is not a seal"),
        (lambda lines: lines[::-1], "line 2 does not lie behind the line before it"),
    ],
)
def test_a_damaged_file_is_refused_by_the_number_of_its_line(
    damage: object, told: str, bank: Bank, file: Path
) -> None:
    for _ in range(2):
        bank.open()
        call_command("seal_books", file)
    bank.open()
    file.write_text("".join(damage(file.read_text().splitlines(keepends=True))))  # type: ignore[operator]
    before = file.read_text()

    with pytest.raises(CommandError, match=f"{told}.*No seal was made"):
        call_command("seal_books", file)
    with pytest.raises(CommandError, match=f"{told}.*Nothing was verified"):
        call_command("verify_ledger", "--seals", str(file))

    assert file.read_text() == before


def test_a_seal_that_was_taken_out_of_the_file_is_missed(bank: Bank, file: Path) -> None:
    for _ in range(3):
        bank.open()
        call_command("seal_books", file)
    first, _, last = file.read_text().splitlines(keepends=True)
    file.write_text(first + last)

    with pytest.raises(CommandError, match="are not those that were sealed"):
        call_command("verify_ledger", "--seals", str(file))


def test_two_do_not_seal_the_same_events_into_one_file(bank: Bank, file: Path) -> None:
    bank.open()
    with file.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match=r"is being written by another seal_books. No seal was made"):
            call_command("seal_books", file)
    assert file.read_text() == ""


def test_a_file_that_cannot_be_written_is_named(bank: Bank, tmp_path: Path) -> None:
    bank.open()
    with pytest.raises(CommandError, match=r"No such file or directory.*No seal was made"):
        call_command("seal_books", tmp_path / "nowhere" / "seals")


def test_long_books_with_wide_holes_are_read_in_pieces(
    bank: Bank, file: Path, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        bank.open("1.00")
        sweeper.execute("SELECT nextval('events_position_seq') FROM generate_series(1, 50)")
    call_command("seal_books", file)
    whole = seals_in(file)[0]
    file.unlink()

    monkeypatch.setattr("eventstore.seals.POSITIONS", 3)
    call_command("seal_books", file)

    assert seals_in(file)[0]["digest"] == whole["digest"]
    assert whole["position"] == Event.objects.latest("position").position < feed.mark()
