"""What the executor promises of a batch where it could break unseen: its size, its order, its clock, its callers."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from accounts.domain.commands import Command, Deposit, PlaceHold, ReverseTransaction, Transfer, Withdraw
from accounts.domain.decide import Decision
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import Facts
from accounts.domain.money import Money
from accounts.models import Hold
from accounts.services import Envelope, Executed, Outcome, Refused, execute, executor
from accounts.services.executor import WRITTEN_AT_ONCE
from accounts.verification import verify
from eventstore.errors import BrokenHistory, OptimisticConcurrencyConflict
from eventstore.events import new_id
from eventstore.idempotency import MAX_GUARDED_KEYS
from eventstore.models import Event
from eventstore.retries import retries_of
from tests.bank import Bank, refused

EURO = Money(100, "EUR")


def test_all_or_nothing_means_nothing_also_for_a_key_that_comes_twice(bank: Bank) -> None:
    """The second one would be a replay of the first, which has not happened either."""
    ann = bank.open("1.00")
    earlier = bank.envelope(Deposit(ann, EURO), key="earlier")
    execute([earlier])
    before = bank.footprint()

    twice = [bank.envelope(Deposit(ann, EURO), key="twice")] * 2
    too_much = bank.envelope(Withdraw(ann, Money(10_000, "EUR")), key="much")
    *told, replayed = execute([*twice, too_much, earlier], all_or_nothing=True)

    assert [outcome.code for outcome in told if isinstance(outcome, Refused)] == [
        ErrorCode.BATCH_REJECTED,
        ErrorCode.BATCH_REJECTED,
        ErrorCode.INSUFFICIENT_FUNDS,
    ]
    assert isinstance(replayed, Executed), "that one has happened"
    assert bank.footprint() == before


def test_a_batch_may_be_as_large_as_is_said_and_no_larger(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "MAX_BATCH", 3)
    ann = bank.open()
    batch = [bank.envelope(Deposit(ann, EURO)) for _ in range(4)]

    with pytest.raises(ValueError, match="at most 3 commands, not 4"):
        execute(batch)
    assert bank.balance(ann) == 0
    assert all(isinstance(outcome, Executed) for outcome in execute(batch[:3]))
    assert bank.balance(ann) == 300


@pytest.mark.parametrize("size", [MAX_GUARDED_KEYS, MAX_GUARDED_KEYS + 1])
def test_a_batch_says_at_once_that_a_key_is_being_worked_on_unless_it_is_too_large_for_that(
    bank: Bank, size: int
) -> None:
    ann = bank.open()
    batch = [bank.envelope(Deposit(ann, EURO), key=str(number)) for number in range(size)]
    in_work = batch[-1].key
    assert in_work is not None
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", in_work.lock_pair())
        *rest, last = execute(batch)
        other.rollback()

    assert all(isinstance(outcome, Executed) for outcome in rest)
    if size > MAX_GUARDED_KEYS:
        assert isinstance(last, Executed)
    else:
        assert isinstance(last, Refused)
        assert last.code is ErrorCode.COMMAND_IN_PROGRESS
    assert bank.balance(ann) == 100 * sum(isinstance(outcome, Executed) for outcome in (*rest, last))


def test_of_two_reversals_in_one_batch_the_second_names_the_first(bank: Bank) -> None:
    ann = bank.open("5.00")
    paid = bank.withdraw(ann, "1.00").transaction_id

    first, second = execute([bank.envelope(ReverseTransaction(paid))] * 2)

    assert isinstance(first, Executed)
    assert isinstance(second, Refused)
    assert (second.code, second.extra) == (
        ErrorCode.ALREADY_REVERSED,
        {"reversed_by": str(first.transaction_id)},
    )
    assert bank.balance(ann) == 500
    assert verify().differences == 0


def test_a_hold_is_placed_at_the_time_in_the_books_where_the_clock_was_set_back(bank: Bank) -> None:
    ann = bank.open("5.00")
    ahead = datetime.now(UTC) + timedelta(days=2)
    execute([bank.envelope(Deposit(ann, EURO))], recorded_at=ahead)

    bank.hold(ann, "1.00")

    assert Hold.objects.get().placed_at == Event.objects.get(event_type="HoldPlaced").timestamp == ahead
    assert verify().differences == 0


@pytest.mark.parametrize("expected", [1, 3])
def test_a_version_that_is_not_there_yet_is_no_more_fitting_than_one_that_is_past(bank: Bank, expected: int) -> None:
    ann, bob = bank.open("5.00"), bank.open("5.00")
    command = Transfer(ann, bob, EURO)

    assert refused(bank, lambda: bank.do(command, expected_version=expected)) is ErrorCode.VERSION_MISMATCH
    for versions in ({ann: expected, bob: 2}, {ann: 2, bob: expected}):
        assert refused(bank, lambda v=versions: bank.do(command, expected_versions=v)) is ErrorCode.VERSION_MISMATCH
    assert isinstance(bank.do(command, expected_version=2, expected_versions={ann: 2, bob: 2}), Executed)


@pytest.mark.parametrize("how", ["expected_version", "expected_versions"])
def test_a_stranger_learns_no_version_of_an_account(bank: Bank, how: str) -> None:
    ann = bank.open("5.00", custodian="client:acme")
    before = bank.footprint()

    with pytest.raises(Refusal) as refusal:
        bank.do(Withdraw(ann, EURO), custodian="client:other", **{how: 1 if how == "expected_version" else {ann: 1}})

    assert (refusal.value.code, refusal.value.extra) == (ErrorCode.ACCOUNT_NOT_FOUND, {})
    assert bank.footprint() == before


def test_a_rule_that_loses_money_is_stopped_before_anything_is_written(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = bank.open("5.00"), bank.open()
    before = bank.footprint()
    sound = executor.decide

    def forgetful(command: Command, facts: Facts) -> Decision:
        decision = sound(command, facts)
        return decision[:1] if isinstance(command, Transfer) else decision

    monkeypatch.setattr(executor, "decide", forgetful)
    with pytest.raises(BrokenHistory, match=r"does not sum to zero: \{'EUR': -100\}"):
        bank.transfer(ann, bob, "1.00")
    assert bank.footprint() == before
    deposited, lost = execute([bank.envelope(Deposit(bob, EURO)), bank.envelope(Transfer(ann, bob, EURO))])

    assert isinstance(deposited, Executed), "what others of the batch do goes on"
    assert isinstance(lost, Refused)
    assert lost.code is ErrorCode.BROKEN_HISTORY
    assert (bank.balance(ann), bank.balance(bob)) == (500, 100)
    assert verify().differences == 0


def test_a_key_that_comes_again_is_counted_once_however_many_parts_its_batch_is_written_in(bank: Bank) -> None:
    ann = bank.open()
    first = bank.do(Deposit(ann, EURO), key="again")
    many = [bank.envelope(Deposit(ann, EURO)) for _ in range(3 * WRITTEN_AT_ONCE)]

    outcomes = execute([bank.envelope(Deposit(ann, EURO), key="again"), *many])

    assert isinstance(outcomes[0], Executed)
    assert outcomes[0].replayed
    counted = retries_of(first.transaction_id)
    assert counted is not None
    assert (counted.replays, counted.mismatches) == (1, 0)


def test_what_was_done_before_is_told_also_where_all_or_nothing_of_its_batch_is_refused(bank: Bank) -> None:
    ann = bank.open()
    first = bank.do(Deposit(ann, EURO), key="before")
    before = bank.footprint()

    done, new, bad = execute(
        [
            bank.envelope(Deposit(ann, EURO), key="before"),
            bank.envelope(Deposit(ann, EURO), key="new"),
            bank.envelope(Withdraw(ann, Money(10_000, "EUR")), key="bad"),
        ],
        all_or_nothing=True,
    )

    assert isinstance(done, Executed)
    assert (done.transaction_id, done.replayed) == (first.transaction_id, True)
    assert [outcome.code for outcome in (new, bad) if isinstance(outcome, Refused)] == [
        ErrorCode.BATCH_REJECTED,
        ErrorCode.INSUFFICIENT_FUNDS,
    ]
    assert bank.footprint() == before


def test_who_loses_every_race_is_told_so_for_each_command(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = bank.open()
    before = bank.footprint()
    tries: list[int] = []

    def outrun(envelopes: Sequence[Envelope], **how: Any) -> list[Outcome]:
        tries.append(len(envelopes))
        raise OptimisticConcurrencyConflict(ann, expected=1, actual=2)

    monkeypatch.setattr(executor, "_execute_once", outrun)
    outcomes = execute([bank.envelope(Deposit(ann, EURO)), bank.envelope(Withdraw(ann, EURO))])

    assert [outcome.code for outcome in outcomes if isinstance(outcome, Refused)] == [
        ErrorCode.CONCURRENCY_CONFLICT,
        ErrorCode.CONCURRENCY_CONFLICT,
    ]
    assert tries == [2] * executor.ATTEMPTS
    assert bank.footprint() == before


def test_a_command_inside_a_transaction_is_not_executed_in_the_batch_of_another(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its effect would be committed, and stay when the caller's transaction is rolled back."""
    ann = bank.open()
    line, gate = executor._together, threading.Event()
    run = line._run_batch

    def slow(envelopes: Sequence[Envelope], patience_ms: int | None) -> list[Outcome]:
        assert gate.wait(10)
        return run(envelopes, patience_ms)

    def deposit() -> None:
        try:
            bank.deposit(ann, "1.00")
        finally:
            connections.close_all()

    monkeypatch.setattr(line, "_run_batch", slow)
    with ThreadPoolExecutor(2) as crowd:
        leads = crowd.submit(deposit)
        while not line._busy:
            time.sleep(0.001)
        next_to_lead = crowd.submit(deposit)
        while not line._waiting:
            time.sleep(0.001)
        threading.Timer(0.3, gate.set).start()
        with pytest.raises(RuntimeError, match="a transaction of their own"), transaction.atomic():
            bank.do(PlaceHold(ann, new_id(), EURO))
        leads.result(10)
        next_to_lead.result(10)

    assert bank.balance(ann) == 200
    assert not Hold.objects.exists()
