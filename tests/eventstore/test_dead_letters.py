"""A poison event parks its own stream only; redrive restores the order; nothing is lost."""

import threading
import time
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.projections.transactions import Transactions
from eventstore import projections
from eventstore.errors import LockTimeout
from eventstore.models import DeadLetter, ProjectionState
from eventstore.projections import dead_letters
from eventstore.projections.dead_letters import NotResolvable
from eventstore.projections.runner import catch_up
from tests.bank import Bank
from tests.eventstore.poison import amounts, poisoned
from tests.locks import at_work_with, impatient
from tests.threads import together


@pytest.mark.usefixtures("fragile")
@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_only_the_poisoned_stream_is_parked(bank: Bank, batch_size: int) -> None:
    from eventstore.projections.runner import Runner

    sick, well = poisoned(bank)
    runner = Runner(Transactions(), batch_size=batch_size)
    while runner.step():
        pass

    assert amounts(sick) == [100, 200]
    assert amounts(well) == [100, -10, 300, -10, 300, -10, 300]
    states = DeadLetter.objects.filter(aggregate_id=sick).order_by("position").values_list("state", flat=True)
    assert list(states) == ["failed", "parked", "parked", "parked"]
    failed = DeadLetter.objects.get(state="failed")
    assert (failed.attempts, failed.error) == (3, "ValueError: cannot take 666")
    assert "choosy" in failed.traceback


@pytest.mark.usefixtures("fragile")
def test_a_later_batch_is_parked_behind_the_poison_as_well(bank: Bank) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    bank.deposit(sick, "5.00")
    catch_up([Transactions()])

    assert amounts(sick) == [100, 200]
    assert DeadLetter.objects.filter(state="parked").count() == 4


def test_a_retry_after_the_cause_is_mended_restores_the_order(bank: Bank, fragile: dict[str, bool]) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    letter = DeadLetter.objects.get(state="failed", projection="transactions")

    stuck = dead_letters.retry(letter.id, by="staff:alice")
    assert (stuck.applied, stuck.left, stuck.error) == (0, 4, "ValueError: cannot take 666")

    fragile["mended"] = True
    done = dead_letters.retry(letter.id, by="staff:alice")
    assert (done.applied, done.left, done.error) == (4, 0, "")
    assert amounts(sick) == [100, 200, 666, 10, 10, 10]
    bank.deposit(sick, "5.00")
    catch_up(projections.registered())
    call_command("verify_ledger")
    assert set(DeadLetter.objects.values_list("state", "resolved_by")) == {("applied", "staff:alice")}


@pytest.mark.usefixtures("fragile")
def test_a_discard_takes_a_reason_and_two_persons_and_releases_what_was_parked(bank: Bank) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    parked = DeadLetter.objects.filter(state="parked").first()
    assert parked is not None

    for number, asked_by, reason in (
        (letter.id, "staff:alice", "  "),
        (parked.id, "staff:alice", "why not"),
        (letter.id, "staff:bob", "on my own"),
    ):
        with pytest.raises(NotResolvable):
            dead_letters.discard(number, asked_by=asked_by, by="staff:bob", reason=reason)
    assert amounts(sick) == [100, 200]

    done = dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data of a partner")

    assert (done.applied, done.left) == (3, 0)
    assert amounts(sick) == [100, 200, 10, 10, 10]
    letter.refresh_from_db()
    assert (letter.state, letter.discard_requested_by, letter.resolved_by, letter.reason) == (
        "discarded",
        "staff:alice",
        "staff:bob",
        "test data of a partner",
    )


@pytest.mark.usefixtures("fragile")
def test_a_discard_is_done_also_where_what_was_parked_cannot_be_applied_now(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    sweeper.execute("UPDATE projections SET code_version = code_version + 1 WHERE name = %s", (letter.projection,))

    done = dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data of a partner")

    assert (done.applied, done.left) == (0, 3)
    assert "run the newer code here" in done.error
    letter.refresh_from_db()
    assert letter.state == "discarded"
    assert amounts(sick) == [100, 200]


@pytest.mark.usefixtures("fragile")
def test_an_event_that_is_parked_during_a_discard_is_applied_by_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = bank.open("1.00")
    bank.deposit(account, "6.66")
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    bank.deposit(account, "5.00")
    parked, park = threading.Barrier(2, timeout=30), dead_letters.park

    def park_slowly(*args: Any) -> None:
        park(*args)
        parked.wait()
        time.sleep(0.5)

    monkeypatch.setattr(dead_letters, "park", park_slowly)

    def discard() -> None:
        parked.wait()
        dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data of a partner")

    together([lambda: catch_up([Transactions()]), discard])

    assert amounts(account) == [100, 500]
    assert not DeadLetter.objects.filter(state__in=("failed", "parked")).exists()


def test_who_resolves_a_letter_while_others_work_with_the_read_model_is_told_so(
    bank: Bank, fragile: dict[str, bool], sweeper: psycopg.Connection
) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    fragile["mended"] = True
    with at_work_with("transactions", sweeper), impatient():
        with pytest.raises(CommandError, match=r"Nothing was changed: read model transactions is in use.*try again"):
            call_command("dead_letters", "retry", str(letter.id), "--by", "alice")
        with pytest.raises(LockTimeout):
            dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data")

    letter.refresh_from_db()
    assert (letter.state, letter.attempts, amounts(sick)) == ("failed", 3, [100, 200])
    assert dead_letters.retry(letter.id, by="staff:alice").applied == 4


def test_a_rebuild_supersedes_the_letters_of_the_tables_that_it_replaced(
    bank: Bank, fragile: dict[str, bool]
) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    fragile["mended"] = True

    call_command("rebuild_projection", "transactions")

    assert amounts(sick) == [100, 200, 666, 10, 10, 10]
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"superseded"}
    call_command("verify_ledger")


@pytest.mark.usefixtures("fragile")
def test_a_letter_whose_tables_are_replaced_while_it_is_being_resolved_is_left_alone(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    letter = DeadLetter.objects.get(state="failed", projection="transactions")
    found = dead_letters._stream_of

    def replaced_after_that(*which: Any) -> Any:
        stream = found(*which)
        call_command("rebuild_projection", "transactions")
        return stream

    monkeypatch.setattr(dead_letters, "_stream_of", replaced_after_that)
    with pytest.raises(NotResolvable, match="was rebuilt meanwhile: look at its new dead letters"):
        dead_letters.retry(letter.id, by="staff:alice")

    assert amounts(sick) == [100, 200]
    letter.refresh_from_db()
    assert letter.state == "superseded"


def test_undoing_a_rebuild_has_the_letters_wait_again(bank: Bank, fragile: dict[str, bool]) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    fragile["mended"] = True
    call_command("rebuild_projection", "transactions")

    call_command("rebuild_projection", "transactions", "--undo")
    bank.deposit(sick, "5.00")
    catch_up([Transactions()])

    assert amounts(sick) == [100, 200], "a later event was applied past the poison"
    letters = DeadLetter.objects.order_by("position")
    assert list(letters.values_list("state", flat=True)) == ["failed", "parked", "parked", "parked", "parked"]
    assert set(letters.values_list("resolved_at", "resolved_by")) == {(None, "")}
    done = dead_letters.retry(letters[1].id, by="staff:alice")
    assert (done.applied, done.left, done.error) == (5, 0, "")
    assert amounts(sick) == [100, 200, 666, 10, 10, 10, 500]
    call_command("verify_ledger")


@pytest.mark.usefixtures("fragile")
def test_the_books_agree_without_what_is_left_out_and_the_proof_tells_of_it(
    bank: Bank, sweeper: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    call_command("verify_ledger")
    assert "transactions leaves out 4 events as dead letters (1 failed, 3 parked)" in capsys.readouterr().out
    letter = DeadLetter.objects.get(state="failed")
    dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data")

    call_command("verify_ledger")
    told = capsys.readouterr().out
    assert "transactions leaves out 1 events as dead letters (1 discarded)" in told
    assert "rebuild_projection transactions tries all of them again" in told
    sweeper.execute("UPDATE transactions SET amount = 201 WHERE amount = 200")
    with pytest.raises(CommandError, match=r"1 differences .*\n.*has amount 201, its event makes 200"):
        call_command("verify_ledger")
    assert amounts(sick) == [100, 201, 10, 10, 10]


def test_a_rebuild_tells_that_it_tries_again_what_was_left_out(
    bank: Bank, fragile: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data")
    fragile["mended"] = True

    call_command("rebuild_projection", "transactions", "--dry-run")
    assert "1 of them are wrong now" in (told := capsys.readouterr().out)
    assert "Before this, transactions leaves out 1 events as dead letters (1 discarded)" in told
    assert amounts(sick) == [100, 200, 10, 10, 10]
    call_command("rebuild_projection", "transactions")

    assert "leaves out 1 events" in capsys.readouterr().out
    assert amounts(sick) == [100, 200, 666, 10, 10, 10]
    catch_up(projections.registered())
    call_command("verify_ledger")
    assert "leaves out" not in capsys.readouterr().out
    call_command("rebuild_projection", "transactions", "--undo")
    call_command("verify_ledger")
    assert "transactions leaves out 1 events" in capsys.readouterr().out
    assert amounts(sick) == [100, 200, 10, 10, 10]


def test_a_read_model_that_is_wound_back_tries_again_what_was_discarded_beyond(
    bank: Bank, fragile: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    sick, _ = poisoned(bank)
    catch_up(projections.registered())
    letter = DeadLetter.objects.get(state="failed")
    dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data")
    fragile["mended"] = True

    call_command("seek_projection", "transactions", "--position", "0")
    assert "also what was discarded" in capsys.readouterr().out
    catch_up(projections.registered())

    assert amounts(sick) == [100, 200, 666, 10, 10, 10]
    call_command("verify_ledger")
    assert "leaves out" not in capsys.readouterr().out
    letter.refresh_from_db()
    assert (letter.state, letter.reason, letter.discard_requested_by) == ("superseded", "test data", "staff:alice")


def test_letters_of_tables_that_were_undone_stay_on_record_and_never_count_for_others(
    bank: Bank, fragile: dict[str, bool]
) -> None:
    sick, _ = poisoned(bank)
    call_command("rebuild_projection", "transactions")
    letter = DeadLetter.objects.get(state="failed")
    dead_letters.discard(letter.id, asked_by="staff:alice", by="staff:bob", reason="test data")
    bank.deposit(sick, "6.66")
    catch_up([Transactions()])

    call_command("rebuild_projection", "transactions", "--undo")

    of_undone = DeadLetter.objects.filter(generation=letter.generation).order_by("position")
    told = list(of_undone.values_list("state", "resolved_by"))
    assert told == [("discarded", "staff:bob"), *[("applied", "staff:bob")] * 3, ("superseded", "undo")]
    fragile["mended"] = True
    call_command("rebuild_projection", "transactions")
    assert ProjectionState.objects.get(name="transactions").active_generation > letter.generation
    call_command("replay_events", "--aggregate", str(sick), "--from-version", "1")
    assert amounts(sick) == [100, 200, 666, 10, 10, 10, 666]
    assert list(of_undone.values_list("state", "resolved_by")) == told


def test_a_message_that_cannot_be_read_is_kept_once(db: None) -> None:
    for _ in range(2):
        dead_letters.record_unreadable(
            topic="t", partition=1, offset=7, key=b"k", value=b"\xff", error=ValueError("no JSON")
        )
    letter = DeadLetter.objects.get()
    assert (letter.state, bytes(letter.message_value), letter.error) == ("unreadable", b"\xff", "ValueError: no JSON")


def test_of_a_large_message_that_cannot_be_read_the_beginning_is_kept(db: None) -> None:
    dead_letters.record_unreadable(
        topic="t", partition=1, offset=7, key=None, value=b"x" * 3_000_000, error=ValueError("no JSON")
    )
    letter = DeadLetter.objects.get()
    assert bytes(letter.message_value) == b"x" * dead_letters.KEPT_BYTES
    assert "no JSON" in letter.error
    assert "3000000 bytes" in letter.error
