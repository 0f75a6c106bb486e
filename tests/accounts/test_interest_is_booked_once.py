"""What is due of interest is booked once, whatever happens in between, and a proof of the books finds the rest."""

from datetime import UTC, date, datetime

import psycopg
import pytest

from accounts.domain.commands import CloseAccount, FreezeAccount, OpenAccount, Withdraw
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import Money
from accounts.models import Interest
from accounts.services import interest
from accounts.services.interest import book_interest
from accounts.trial_balance import trial_balance
from accounts.verification import verify
from eventstore.errors import OutcomeUnknown, StoreBusy
from eventstore.events import new_id
from eventstore.models import Event
from ops.database.locks import advisory_key
from tests.accounts.earning import JANUARY, on, rate, saver, settle, today_is
from tests.bank import Bank

TENTH = 100_000
"""10 %, in millionths."""


@pytest.fixture(autouse=True)
def in_february(monkeypatch: pytest.MonkeyPatch) -> None:
    today_is(monkeypatch, date(2026, 2, 3))


def test_run_again_it_books_nothing_twice(bank: Bank) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    book_interest()
    before = bank.footprint()

    again = book_interest()

    assert (list(again.reckoned), again.booked) == ([], 0)
    assert bank.footprint() == before
    assert bank.balance(ann) == 368_100


def test_what_was_due_before_is_booked_although_a_later_month_must_wait(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    interest.reckon(JANUARY)
    monkeypatch.setattr("accounts.interest.timezone.now", lambda: datetime(2026, 3, 1, 0, 1, tzinfo=UTC))

    with pytest.raises(Refusal, match="2026-02 is not over"):
        book_interest()

    assert bank.balance(ann) == 368_100


def test_a_frozen_account_is_due_until_it_is_unfrozen(bank: Bank) -> None:
    ann, bob = saver(bank), saver(bank)
    bank.do(FreezeAccount(ann))
    rate(JANUARY, TENTH)
    settle()

    run = book_interest()

    assert (run.booked, run.left) == (1, 1)
    assert (bank.balance(ann), bank.balance(bob)) == (365_000, 368_100)
    due = Interest.objects.get(account_id=ann)
    assert (due.status, due.code, due.tried_at) == ("due", "account_frozen", None)
    bank.unfreeze(ann)
    assert book_interest().booked == 1
    due.refresh_from_db()
    assert (bank.balance(ann), due.status, due.code, due.message) == (368_100, "booked", "", "")


def test_who_cannot_pay_what_is_owed_is_asked_again(bank: Bank) -> None:
    bob = new_id()
    on(bank, date(2025, 12, 1), OpenAccount(bob, "Bob", "EUR", overdraft_limit=73_000))
    on(bank, date(2025, 12, 1), Withdraw(bob, Money(73_000, "EUR")))
    rate(JANUARY, 0, TENTH, product="current")
    settle()

    assert book_interest().left == 1
    assert Interest.objects.get().code == "insufficient_funds"
    bank.deposit(bob, "6.20")

    assert book_interest().booked == 1
    assert bank.balance(bob) == -73_000


def test_what_a_closed_account_was_due_lapses(bank: Bank) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    bank.do(Withdraw(ann, Money(365_000, "EUR")))
    bank.do(CloseAccount(ann))

    run = book_interest()

    assert (run.booked, run.left, run.lapsed) == (0, 0, 1)
    due = Interest.objects.get()
    assert (due.status, due.transaction_id, due.code) == ("lapsed", None, "account_closed")
    assert book_interest().lapsed == 0


@pytest.mark.parametrize("with_key", [True, False], ids=["key remembered", "key forgotten"])
def test_who_dies_between_booking_and_noting_it_books_nothing_twice(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, sweeper: psycopg.Connection, with_key: bool
) -> None:
    savers = [saver(bank) for _ in range(3)]
    rate(JANUARY, TENTH)
    settle()
    with monkeypatch.context() as patch:
        patch.setattr(interest, "_became", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            book_interest()
    assert {bank.balance(account) for account in savers} == {368_100}
    assert {each.status for each in Interest.objects.all()} == {"due"}
    if not with_key:
        sweeper.execute("DELETE FROM idempotency_records")
    before = bank.footprint()

    run = book_interest()

    assert (run.booked, bank.footprint()) == (3, before)
    told = {(each.account_id, each.transaction_id) for each in Interest.objects.all()}
    assert told == {
        (event.aggregate_id, event.command_id)
        for event in Event.objects.filter(metadata__actor="system:interest", event_type="Deposited")
    }


def test_who_dies_before_booking_books_it_the_next_time(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = saver(bank)
    rate(JANUARY, TENTH)
    settle()
    for trouble in (StoreBusy("no connection"), OutcomeUnknown("it broke at the commit")):
        with monkeypatch.context() as patch:
            patch.setattr(interest, "execute", lambda _, trouble=trouble: (_ for _ in ()).throw(trouble))
            with pytest.raises(type(trouble)):
                book_interest()
        assert bank.balance(ann) == 365_000
        assert Interest.objects.get().tried_at is not None

    assert book_interest().booked == 1
    assert bank.balance(ann) == 368_100


def test_dues_are_booked_in_batches_with_progress(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        saver(bank)
    rate(JANUARY, TENTH)
    settle()
    monkeypatch.setattr(interest, "BOOKED_AT_ONCE", 2)
    told: list[tuple[int, int]] = []

    book_interest(lambda done, of: told.append((done, of)))

    assert told == [(2, 5), (4, 5), (5, 5)]
    assert Interest.objects.filter(status="booked").count() == 5


def test_two_runs_do_not_meet(bank: Bank, sweeper: psycopg.Connection) -> None:
    saver(bank)
    rate(JANUARY, TENTH)
    settle()
    sweeper.execute("SELECT pg_advisory_lock(%s)", (advisory_key("interest"),))
    try:
        with pytest.raises(Refusal) as refused:
            book_interest()
    finally:
        sweeper.execute("SELECT pg_advisory_unlock(%s)", (advisory_key("interest"),))
    assert refused.value.code is ErrorCode.COMMAND_IN_PROGRESS
    assert Interest.objects.count() == 0


def test_the_books_agree_afterwards_and_sum_to_zero(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    saver(bank)
    rate(JANUARY, TENTH)
    settle()
    book_interest()
    settle()

    assert verify().differences == 0
    monkeypatch.undo()
    found = trial_balance(datetime.now(UTC).date())
    assert found.is_balanced
    closing = {entry.ledger_account: entry.closing for books in found.books for entry in books.entries}
    assert closing["interest:EUR"] == -3_100


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE interest SET amount = amount + 1", ["is not what row ID is due"]),
        ("UPDATE interest SET kind = 'owed'", ["is not what row ID is due"]),
        (
            "UPDATE interest SET account_id = gen_random_uuid()",
            ["is not what row ID is due", "row ID is called booked"],
        ),
        ("DELETE FROM interest", ["books what nobody was due"]),
        (
            "UPDATE interest SET transaction_id = gen_random_uuid()",
            ["row ID is booked by transaction", "row ID is called booked"],
        ),
        (
            "UPDATE interest SET transaction_id = NULL, settled_at = NULL, status = 'due'",
            ["row ID is booked by transaction"],
        ),
    ],
)
def test_a_proof_finds_what_is_booked_otherwise_than_it_was_due(
    bank: Bank, sweeper: psycopg.Connection, damage: str, told: list[str]
) -> None:
    saver(bank)
    rate(JANUARY, TENTH)
    settle()
    book_interest()
    settle()
    assert verify().differences == 0
    due = Interest.objects.get()

    sweeper.execute(damage.encode())

    found = [sentence for sentence in verify().first_differences if sentence.startswith("interest: ")]
    assert len(found) == len(told), found
    assert all(part.replace("ID", str(due.pk)) in sentence for part, sentence in zip(told, found, strict=True)), found


def test_what_is_booked_and_not_noted_yet_is_no_difference(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    saver(bank)
    rate(JANUARY, TENTH)
    settle()
    with monkeypatch.context() as patch:
        patch.setattr(interest, "_became", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            book_interest()
    settle()

    assert verify().differences == 0
