"""A poison event parks its own stream only; redrive restores the order; nothing is lost."""

import threading
import time
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Transaction
from accounts.projections.transactions import Transactions
from eventstore import projections
from eventstore.errors import LockTimeout
from eventstore.events import StoredEvent
from eventstore.models import DeadLetter, ProjectionState
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.dead_letters import NotResolvable
from eventstore.projections.runner import catch_up
from ops.approvals.carrying_out import carry_out
from ops.approvals.models import Approval
from ops.models import AuditEntry
from tests.bank import Bank
from tests.locks import at_work_with, impatient
from tests.threads import together

POISON = "poison"


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A transactions projection that cannot take deposits of 6.66, until it is mended."""
    switch = {"mended": False}
    gather = Transactions.gather

    def choosy(self: Transactions, stored: StoredEvent, batch: list) -> None:
        if stored.data.get("amount") == 666 and not switch["mended"]:
            raise ValueError("cannot take 666")
        gather(self, stored, batch)

    monkeypatch.setattr(Transactions, "gather", choosy)
    monkeypatch.setattr(Transactions, "set_based", "")
    return switch


def poisoned(bank: Bank) -> tuple[UUID, UUID]:
    """One account with a poison event between sound ones, another without."""
    sick, well = bank.open("1.00"), bank.open("1.00")
    bank.deposit(sick, "2.00")
    bank.deposit(sick, "6.66")
    for _ in range(3):
        bank.transfer(well, sick, "0.10")
        bank.deposit(well, "3.00")
    return sick, well


def amounts(account_id: UUID) -> list[int]:
    return list(
        Transaction.objects.filter(account_id=account_id).order_by("version").values_list("amount", flat=True)
    )


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


def test_the_command_lists_shows_retries_and_discards(
    bank: Bank, fragile: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")

    call_command("dead_letters", "list")
    assert "cannot take 666" in capsys.readouterr().out
    call_command("dead_letters", "show", str(letter.id))
    assert "choosy" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot take 666"):
        call_command("dead_letters", "retry", str(letter.id), "--by", "alice")
    with pytest.raises(CommandError, match="reason"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "alice")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")
    with pytest.raises(CommandError, match="takes a second person"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--confirm")
    letter.refresh_from_db()
    assert letter.state == "failed"
    fragile["mended"] = True
    call_command("dead_letters", "retry", str(letter.id), "--by", "alice")
    assert "4 events applied" in capsys.readouterr().out
    told = (
        AuditEntry.objects.filter(action="retry_dead_letter").order_by("pk").values_list("actor", "outcome", "detail")
    )
    assert list(told) == [
        ("command:alice", "refused", {"applied": 0, "left": 4}),
        ("command:alice", "done", {"applied": 4, "left": 0}),
    ]


@pytest.mark.usefixtures("fragile")
def test_the_command_discards_when_a_second_person_confirms(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    with pytest.raises(CommandError, match="nobody has asked"):
        call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")

    call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")

    assert "3 events were applied, 0 still wait" in capsys.readouterr().out
    letter.refresh_from_db()
    assert (letter.state, letter.discard_requested_by, letter.resolved_by) == (
        "discarded",
        "command:alice",
        "command:bob",
    )
    assert amounts(sick) == [100, 200, 10, 10, 10]


@pytest.mark.usefixtures("fragile")
def test_a_discard_that_was_interrupted_is_carried_on_and_applies_what_was_parked(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, _ = poisoned(bank)
    catch_up([Transactions()])
    letter = DeadLetter.objects.get(state="failed")
    call_command("dead_letters", "discard", str(letter.id), "--by", "alice", "--reason", "test data")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "fitting", die)
        with pytest.raises(CommandError, match="broken off"):
            call_command("dead_letters", "discard", str(letter.id), "--by", "bob", "--confirm")
    letter.refresh_from_db()
    assert (letter.state, amounts(sick)) == ("discarded", [100, 200])

    approval = carry_out(Approval.objects.get().pk)

    assert approval.result == ["The event is left out.", "3 events were applied, 0 still wait."]
    assert amounts(sick) == [100, 200, 10, 10, 10]
    assert not DeadLetter.objects.filter(state__in=("failed", "parked")).exists()


def test_the_command_acknowledges_an_unreadable_message(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    dead_letters.record_unreadable(
        topic="t", partition=1, offset=7, key=b"k", value=b"\xff", error=ValueError("no JSON")
    )
    number = str(DeadLetter.objects.get().id)
    with pytest.raises(CommandError, match="needs a reason"):
        call_command("dead_letters", "acknowledge", number, "--by", "alice", "--reason", " ")
    call_command("dead_letters", "acknowledge", number, "--by", "alice", "--reason", "a test")
    with pytest.raises(CommandError, match="waits for somebody"):
        call_command("dead_letters", "acknowledge", number, "--by", "bob", "--reason", "again")

    capsys.readouterr()
    call_command("dead_letters", "list")
    assert "There are no dead letters." in capsys.readouterr().out
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.resolved_by, letter.reason) == ("unreadable", "command:alice", "a test")
    assert AuditEntry.objects.get(action="acknowledge_dead_letter").actor == "command:alice"


def unreadable(count: int) -> list[str]:
    for offset in range(count):
        dead_letters.record_unreadable(
            topic="t", partition=1, offset=offset, key=None, value=b"?", error=ValueError("no JSON")
        )
    return [str(number) for number in DeadLetter.objects.order_by("id").values_list("id", flat=True)]


def test_the_command_lists_some_and_says_how_to_see_the_others(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = unreadable(3)

    def listed(*options: str) -> list[str]:
        call_command("dead_letters", "list", *options)
        return [line.split()[0] for line in capsys.readouterr().out.splitlines() if "unreadable" in line]

    call_command("dead_letters", "list", "--limit", "2")
    assert f"There are more: the same with --after {second} goes on with them." in capsys.readouterr().out
    call_command("dead_letters", "list", "--limit", "3")
    assert "There are more" not in capsys.readouterr().out
    assert listed("--limit", "2") == [first, second]
    assert listed("--limit", "2", "--after", second) == [third]
    assert listed("--all", "--limit", "1", "--after", third) == [second]
    assert listed("--after", third) == []
    with pytest.raises(CommandError, match="--limit must be from 1 to 10000"):
        call_command("dead_letters", "list", "--limit", "0")


def test_the_command_acknowledges_several_at_once_or_none(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    letters = unreadable(3)
    with pytest.raises(CommandError, match="Nothing was changed: dead letter 999999 is no unreadable message"):
        call_command("dead_letters", "acknowledge", *letters, "999999", "--by", "alice", "--reason", "a test")
    assert DeadLetter.objects.filter(resolved_at=None).count() == 3
    assert not AuditEntry.objects.exists()

    call_command("dead_letters", "acknowledge", *letters, "--by", "alice", "--reason", "a test")

    assert "All 3 are acknowledged" in capsys.readouterr().out
    assert set(DeadLetter.objects.values_list("resolved_by", "reason")) == {("command:alice", "a test")}
    assert AuditEntry.objects.filter(action="acknowledge_dead_letter").count() == 3
