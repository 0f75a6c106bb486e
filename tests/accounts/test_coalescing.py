"""Commands that arrive together are one batch, and none of them can hurt the others."""

import os
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections
from prometheus_client import REGISTRY

from accounts.domain.commands import Deposit, Transfer
from accounts.domain.errors import Refusal
from accounts.services import Envelope, Executed, Outcome, Refused, begin_one, coalescing, execute_one, executor
from accounts.services.coalescing import Coalescer
from accounts.verification import verify
from eventstore.errors import BrokenHistory, LockTimeout, OutcomeUnknown, StoreBusy
from eventstore.models import Event
from tests.bank import Bank
from tests.configured import configured

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each batch that the line of this process executes."""
    sizes: list[int] = []
    run = executor._together._run_batch

    def counting(envelopes: Sequence[Envelope], patience_ms: int | None) -> list[Outcome]:
        sizes.append(len(envelopes))
        return run(envelopes, patience_ms)

    monkeypatch.setattr(executor._together, "_run_batch", counting)
    return sizes


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def stranger(bank: Bank) -> Iterator[psycopg.Connection]:
    """A session that is not the bank's, in a transaction of its own."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], application_name="psql") as conn:
        yield conn
        conn.rollback()


def send(envelope: Envelope) -> Any:
    """What became of it: the outcome, or the error."""
    try:
        return execute_one(envelope)
    except Exception as error:
        return error
    finally:
        connections.close_all()


def test_a_lone_command_waits_for_nobody(bank: Bank, batches: list[int]) -> None:
    bank.deposit(bank.open(), "1.00")
    assert batches == [1, 1]


def test_commands_that_arrive_together_share_a_transaction_and_each_gets_its_own_outcome(
    bank: Bank, batches: list[int], crowd: ThreadPoolExecutor
) -> None:
    rich, poor = bank.open("100.00"), bank.open()
    batches.clear()
    envelopes = [
        bank.envelope(Transfer(rich if number % 4 else poor, poor if number % 4 else rich, bank.money("1.00")))
        for number in range(96)
    ]
    random.Random(1).shuffle(envelopes)

    outcomes = list(crowd.map(send, envelopes))

    assert sum(batches) == 96
    assert max(batches) > 1, "nothing was gathered"
    executed = [outcome for outcome in outcomes if isinstance(outcome, Executed)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(executed) + len(refused) == 96, outcomes
    assert len({outcome.transaction_id for outcome in executed}) == len(executed)
    for envelope, outcome in zip(envelopes, outcomes, strict=True):
        if isinstance(outcome, Executed):
            assert outcome.result["accounts"][0]["id"] == str(envelope.command.account_id), "somebody else's answer"
    moved = Event.objects.filter(event_type="TransferSent").count()
    assert moved == len(executed)
    assert verify().differences == 0


def test_a_blocked_account_holds_up_its_own_commands_only(
    bank: Bank, crowd: ThreadPoolExecutor, stranger: psycopg.Connection
) -> None:
    blocked, others = bank.open(), [bank.open() for _ in range(15)]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    waits = crowd.submit(send, bank.envelope(Deposit(blocked, bank.money("1.00"))))
    time.sleep(0.05)

    began = time.monotonic()
    outcomes = list(crowd.map(send, [bank.envelope(Deposit(other, bank.money("1.00"))) for other in others]))
    took = time.monotonic() - began

    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes
    assert took < 2.5
    assert not waits.done()
    stranger.rollback()
    assert isinstance(waits.result(timeout=10), Executed)


def test_the_first_to_come_goes_on_alone_when_its_account_is_blocked(
    bank: Bank, stranger: psycopg.Connection, crowd: ThreadPoolExecutor
) -> None:
    blocked, other = bank.open(), bank.open()
    timed_out = batches_timed_out()
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    waits = crowd.submit(send, bank.envelope(Deposit(blocked, bank.money("1.00"))))
    time.sleep(3 * coalescing.PATIENCE_MS / 1000)

    began = time.monotonic()
    assert isinstance(send(bank.envelope(Deposit(other, bank.money("1.00")))), Executed)
    assert time.monotonic() - began < 0.5
    assert not waits.done()
    stranger.rollback()
    assert isinstance(waits.result(timeout=10), Executed)
    assert batches_timed_out() == timed_out, "it only went on beside the line"


def batches_timed_out() -> float:
    return REGISTRY.get_sample_value("component_calls_total", {"component": "batch", "outcome": "timeout"}) or 0.0


def outcomes_of(run: coalescing.Run, envelopes: list[Any]) -> list[Any]:
    """All sent while a first one holds the line, so that they make one batch."""
    found = together(run, [[envelope] for envelope in envelopes])
    return [outcomes if isinstance(outcomes, BaseException) else outcomes[0] for outcomes in found]


def together(run: coalescing.Run, callers: list[list[Any]]) -> list[Any]:
    """What becomes of the commands of each caller: they come one after another, while a first one holds the line."""
    line = Coalescer(run)
    gate = threading.Event()

    def held(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        if some[0] == "first":
            gate.wait(10)
            return [Refused("first", "") for _ in some]  # type: ignore[arg-type]
        return run(some, patience_ms)

    line._run_batch = held

    def execute(envelopes: list[Any]) -> Any:
        try:
            return line.execute(envelopes)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(len(callers) + 1) as pool:
        first = pool.submit(execute, ["first"])
        while not line._busy:
            time.sleep(0.001)
        rest = []
        for envelopes in callers:
            rest.append(pool.submit(execute, envelopes))
            while len(line._waiting) < len(rest):
                time.sleep(0.0002)
        gate.set()
        first.result(timeout=10)
        found = [each.result(timeout=10) for each in rest]
    assert not line._busy
    assert not line._waiting
    return found


def test_callers_with_several_commands_share_a_batch_and_each_gets_its_own_outcomes_in_order() -> None:
    ran: list[list[Any]] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        ran.append(list(some))
        return [f"did {each}" for each in some]

    found = together(run, [["a1", "a2"], ["b1"], ["c1", "c2", "c3"]])

    assert ran == [["a1", "a2", "b1", "c1", "c2", "c3"]]
    assert found == [["did a1", "did a2"], ["did b1"], ["did c1", "did c2", "did c3"]]


def test_commands_of_one_caller_stay_together_where_they_would_be_too_many_for_a_batch() -> None:
    sizes: list[int] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        sizes.append(len(some))
        return list(some)

    callers = [list(range(100)), list(range(100, 256)), ["late"], list(range(coalescing.MOST))]
    assert together(run, callers) == callers
    assert sizes == [256, 1, 256]


def test_a_caller_with_several_commands_who_is_to_blame_does_not_hurt_the_others() -> None:
    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        if "bad" in some:
            raise LockTimeout("locked")
        return list(some)

    first, bad, last = together(run, [["a1", "a2"], ["bad", "b2"], ["c1"]])

    assert (first, last) == (["a1", "a2"], ["c1"])
    assert isinstance(bad, LockTimeout)


@pytest.mark.parametrize("error", [LockTimeout("locked"), BrokenHistory("broken"), ValueError("a bug")])
def test_a_batch_that_fails_as_a_whole_is_retried_in_halves_until_one_is_to_blame(error: Exception) -> None:
    sizes: list[int] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        sizes.append(len(some))
        if "bad" in some:
            raise error
        return [f"did {each}" for each in some]

    envelopes = [*range(6), "bad", *range(7, 16)]
    found = outcomes_of(run, envelopes)

    assert [f"did {each}" for each in envelopes if each != "bad"] == [each for each in found if isinstance(each, str)]
    assert type(found[6]) is type(error)
    assert sizes[0] == 16
    assert sorted(sizes, reverse=True) == [16, 8, 8, 4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize("error", [StoreBusy("no connection"), OutcomeUnknown("lost at the commit")])
def test_what_would_fail_again_or_may_have_happened_is_told_to_all_and_not_tried_again(error: Exception) -> None:
    tries: list[int] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        tries.append(len(some))
        raise error

    found = outcomes_of(run, list(range(8)))

    assert tries == [8]
    assert {type(each) for each in found} == {type(error)}
    assert len({id(each) for each in found}) == 8, "an exception belongs to one thread"


def test_a_caller_that_is_killed_in_the_lead_leaves_the_others_with_an_answer_and_the_line_free() -> None:
    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        raise SystemExit

    found = outcomes_of(run, list(range(4)))

    assert sorted(type(each).__name__ for each in found) == ["OutcomeUnknown"] * 3 + ["SystemExit"]


def test_whose_turn_does_not_come_in_time_is_told_that_nothing_was_done(crowd: ThreadPoolExecutor) -> None:
    gate = threading.Event()
    ran: list[Any] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        ran.extend(some)
        gate.wait(10)
        return [f"did {each}" for each in some]

    line = Coalescer(run)
    slow = crowd.submit(line.execute, ["slow"])  # type: ignore[list-item]
    while not line._busy:
        time.sleep(0.001)
    with configured(batch_processing_timeout=1), pytest.raises(StoreBusy):
        line.execute(["late"])  # type: ignore[list-item]
    gate.set()
    assert slow.result(timeout=10) == ["did slow"]
    assert ran == ["slow"]


def test_a_hot_account_takes_commands_from_many_callers_without_a_conflict(
    bank: Bank, crowd: ThreadPoolExecutor, batches: list[int]
) -> None:
    hot = bank.open("1000.00")
    begun_at = Event.objects.filter(aggregate_id=hot).count()
    spokes: list[UUID] = [bank.open() for _ in range(8)]
    outcomes = list(
        crowd.map(
            send,
            [bank.envelope(Transfer(hot, spokes[number % 8], bank.money("0.01"))) for number in range(200)],
        )
    )
    assert all(isinstance(outcome, Executed) for outcome in outcomes)
    versions = Event.objects.filter(aggregate_id=hot).order_by("version").values_list("version", flat=True)
    assert list(versions) == list(range(1, begun_at + 201))


def test_callers_who_do_not_wait_share_batches_with_those_who_do(
    bank: Bank, crowd: ThreadPoolExecutor, batches: list[int]
) -> None:
    account_id = bank.open()
    batches.clear()
    told: queue.Queue[Any] = queue.Queue()
    envelopes = [bank.envelope(Deposit(account_id, bank.money("0.01"))) for _ in range(200)]
    waited = [crowd.submit(send, envelope) for envelope in envelopes[:100]]
    for envelope in envelopes[100:]:
        begin_one(envelope, told.put)

    outcomes = [each.result(timeout=10) for each in waited] + [told.get(timeout=10) for _ in range(100)]

    assert all(isinstance(outcome, Executed) for outcome in outcomes), outcomes
    assert len({outcome.transaction_id for outcome in outcomes}) == 200
    assert told.empty()
    assert sum(batches) == 200
    assert max(batches) > 1
    assert bank.balance(account_id) == 200


def test_a_blocked_account_holds_up_its_own_commands_only_also_of_those_who_do_not_wait(
    bank: Bank, stranger: psycopg.Connection
) -> None:
    blocked, others = bank.open(), [bank.open() for _ in range(15)]
    stranger.execute("SELECT FROM streams WHERE aggregate_id = %s FOR UPDATE", (blocked,))
    held: queue.Queue[Any] = queue.Queue()
    free: queue.Queue[Any] = queue.Queue()
    for account_id in (*others[:7], blocked, *others[7:]):
        begin_one(
            bank.envelope(Deposit(account_id, bank.money("1.00"))), held.put if account_id == blocked else free.put
        )

    assert all(isinstance(free.get(timeout=2.5), Executed) for _ in others)
    assert held.empty()
    stranger.rollback()
    assert isinstance(held.get(timeout=10), Executed)


def test_of_those_who_do_not_wait_each_is_told_once_what_went_wrong() -> None:
    told: queue.Queue[tuple[int, Any]] = queue.Queue()
    first = threading.Event()

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        first.wait(10)
        if 7 in some:
            raise BrokenHistory("broken")
        return [f"did {each}" for each in some]

    line = Coalescer(run)
    for number in range(16):
        line.begin(number, lambda became, number=number: told.put((number, became)))  # type: ignore[arg-type, misc]
    first.set()
    found = dict(told.get(timeout=10) for _ in range(16))
    time.sleep(0.05)

    assert told.empty()
    assert isinstance(found.pop(7), BrokenHistory)
    assert found == {number: f"did {number}" for number in range(16) if number != 7}


def test_of_those_who_do_not_wait_whose_turn_comes_too_late_nothing_is_done() -> None:
    told: queue.Queue[Any] = queue.Queue()
    ran: list[Any] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        ran.extend(some)
        time.sleep(1.2)
        return [f"did {each}" for each in some]

    line = Coalescer(run)
    with configured(batch_processing_timeout=1):
        line.begin("slow", told.put)  # type: ignore[arg-type]
        line.begin("late", told.put)  # type: ignore[arg-type]
        assert told.get(timeout=10) == "did slow"
        assert isinstance(told.get(timeout=10), StoreBusy)
    line.begin("next", told.put)  # type: ignore[arg-type]
    assert told.get(timeout=10) == "did next"
    assert ran == ["slow", "next"]


def test_a_small_batch_waits_for_those_who_were_there_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "LINGER", 1e6)
    monkeypatch.setattr(coalescing, "LONGEST_LINGER_MS", 5000.0)
    monkeypatch.setattr(coalescing, "MOMENT_MS", 60_000.0)
    sizes: list[int] = []
    first_is_running, go_on = threading.Event(), threading.Event()

    def run(envelopes: Sequence[Any], _: int | None) -> list[Any]:
        sizes.append(len(envelopes))
        if len(sizes) == 1:
            first_is_running.set()
            assert go_on.wait(10)
        return list(envelopes)

    line = Coalescer(run)
    with ThreadPoolExecutor(4) as callers:
        first = callers.submit(line.execute, ["a"])  # type: ignore[list-item]
        assert first_is_running.wait(10)
        others = [callers.submit(line.execute, [name]) for name in "bcd"]  # type: ignore[list-item]
        while len(line._waiting) < 3:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == ["a"]
        assert not any(other.done() for other in others), "one more was in hand, and may come again"
        again = callers.submit(line.execute, ["e"])  # type: ignore[list-item]
        assert [other.result(2) for other in others] == [["b"], ["c"], ["d"]], "it came: nobody waits for the time"
        assert again.result(2) == ["e"]
    assert sizes == [1, 4]


def test_nobody_waits_longer_than_a_moment_for_who_does_not_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "LONGEST_LINGER_MS", 50.0)
    monkeypatch.setattr(coalescing, "MOMENT_MS", 60_000.0)
    line = Coalescer(lambda envelopes, _: list(envelopes))  # type: ignore[arg-type]
    line._usual, line._ended, line._took = 5, time.monotonic(), 10.0

    began = time.monotonic()
    assert line.execute(["alone"]) == ["alone"]  # type: ignore[list-item,comparison-overlap]
    assert 0.05 <= time.monotonic() - began < 2

    began = time.monotonic()
    assert line.execute(["alone"]) == ["alone"]  # type: ignore[list-item,comparison-overlap]
    assert time.monotonic() - began < 0.05, "nobody else was there a moment ago"
