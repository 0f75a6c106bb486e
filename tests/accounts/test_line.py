"""The line by itself, with names in place of commands: who is executed with whom, who waits, and who is told what."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from accounts.services import Refused, coalescing
from accounts.services.coalescing import Coalescer
from eventstore.errors import BrokenHistory, LockTimeout, OptimisticConcurrencyConflict, OutcomeUnknown, StoreBusy
from tests.configured import configured


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


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
    once_more = [1] if isinstance(error, LockTimeout) else []  # with more patience
    assert sorted(sizes, reverse=True) == [16, 8, 8, 4, 4, 2, 2, 1, 1, *once_more]


def test_who_needs_what_others_hold_waits_alone_and_the_rest_stay_together() -> None:
    ran: list[tuple[int, bool]] = []
    told: queue.Queue[Any] = queue.Queue()
    first, freed = threading.Event(), threading.Event()

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        first.wait(10)
        ran.append((len(some), patience_ms is None))
        if "bad" in some and not (patience_ms is None and freed.wait(10)):
            raise LockTimeout("locked")
        return [f"did {each}" for each in some]

    line = Coalescer(run, lambda envelopes: [each == "bad" for each in envelopes])  # type: ignore[comparison-overlap]
    for name in (*"abc", "bad", *"defg"):
        line.begin(name, told.put)  # type: ignore[arg-type]
    first.set()

    assert sorted(told.get(timeout=10) for _ in range(7)) == [f"did {name}" for name in "abcdefg"]
    freed.set()
    assert told.get(timeout=10) == "did bad"
    assert sorted(ran) == [(1, False), (1, True), (6, False), (7, False)]


def test_however_many_wait_for_what_others_hold_nobody_else_waits_and_none_of_them_for_ever() -> None:
    told: dict[str, queue.Queue[Any]] = {"good": queue.Queue(), "bad": queue.Queue()}
    tried: list[Any] = []
    freed = threading.Event()

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        if "bad" in some:
            if patience_ms is not None:
                raise LockTimeout("locked")
            tried.append(some)
            freed.wait(10)
        return list(some)

    line = Coalescer(run, lambda envelopes: [each == "bad" for each in envelopes])  # type: ignore[comparison-overlap]
    with configured(batch_processing_timeout=1):
        for number in range(100):
            name = "good" if number % 2 else "bad"
            line.begin(name, told[name].put)  # type: ignore[arg-type]
        assert [told["good"].get(timeout=5) for _ in range(50)] == ["good"] * 50
        assert told["bad"].empty()
        time.sleep(1.1)
        freed.set()
        became = [told["bad"].get(timeout=10) for _ in range(50)]
    assert became.count("bad") == len(tried) == coalescing.BESIDE
    assert [type(each) for each in became if each != "bad"] == [StoreBusy] * (50 - coalescing.BESIDE)


def test_where_it_cannot_be_known_who_holds_what_halves_find_who_is_to_blame() -> None:
    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        if "bad" in some:
            raise LockTimeout("locked")
        return list(some)

    def fails(envelopes: Sequence[Any]) -> list[bool]:
        raise RuntimeError("no connection")

    told: queue.Queue[Any] = queue.Queue()
    line = Coalescer(run, fails)
    for name in (*"abc", "bad", *"defg"):
        line.begin(name, told.put)  # type: ignore[arg-type]

    became = [told.get(timeout=10) for _ in range(8)]
    assert sorted(each for each in became if isinstance(each, str)) == list("abcdefg")
    assert [type(each) for each in became if not isinstance(each, str)] == [LockTimeout]


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
    with configured(batch_processing_timeout=1):
        assert line.execute(["next"]) == ["did next"], "nobody waits behind one who has left"  # type: ignore[list-item]
    assert ran == ["slow", "next"]


def test_who_is_in_a_batch_when_its_time_is_over_hears_what_becomes_of_it(crowd: ThreadPoolExecutor) -> None:
    """It may be happening: that is not known before the batch, which has the same time limit, is done."""
    gates = {name: threading.Event() for name in ("first", "second")}

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        assert gates["first" if "first" in some else "second"].wait(10)
        return [f"did {each}" for each in some]

    line = Coalescer(run)
    with configured(batch_processing_timeout=2):
        callers = []
        for number, name in enumerate(("first", "leader", "waiter")):
            callers.append(crowd.submit(line.execute, [name]))  # type: ignore[list-item]
            while not line._busy or len(line._waiting) < number:
                time.sleep(0.001)
        gates["first"].set()
        threading.Timer(2.5, gates["second"].set).start()
        told = [each.result(timeout=10) for each in callers]

    assert told == [["did first"], ["did leader"], ["did waiter"]]


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


def test_what_a_batch_did_with_too_few_outcomes_is_told_to_nobody_as_done() -> None:
    """Whose outcome is missing cannot be known: all of them ask again, with their keys."""
    tries: list[int] = []

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        tries.append(len(some))
        return list(some)[:-1]

    found = outcomes_of(run, list(range(4)))
    told: queue.Queue[Any] = queue.Queue()
    Coalescer(run).begin("promised", told.put)  # type: ignore[arg-type]

    assert [str(each) for each in found] == ["4 commands came to 3 outcomes"] * 4
    assert {type(each) for each in [*found, told.get(timeout=10)]} == {OutcomeUnknown}
    assert tries == [4, 1], "what may have happened is not tried again"


def test_an_error_of_one_reaches_it_as_it_was_raised() -> None:
    conflict = OptimisticConcurrencyConflict(UUID(int=7), expected=1, actual=2)

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        if "bad" in some:
            raise conflict
        return list(some)

    assert outcomes_of(run, ["a", "bad", "c"]) == ["a", conflict, "c"]


def test_one_who_cannot_be_told_does_not_keep_it_from_the_others() -> None:
    told: queue.Queue[Any] = queue.Queue()
    first = threading.Event()

    def run(some: Sequence[Any], patience_ms: int | None) -> list[Any]:
        first.wait(10)
        return [f"did {each}" for each in some]

    def gone(became: Any) -> None:
        raise RuntimeError("Event loop is closed")

    line = Coalescer(run)
    for number in range(5):
        line.begin(number, gone if number in (0, 2) else told.put)  # type: ignore[arg-type]
    first.set()

    assert [told.get(timeout=10) for _ in range(3)] == ["did 1", "did 3", "did 4"]
    assert line.execute(["next"]) == ["did next"]  # type: ignore[list-item]


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

    monkeypatch.setattr(coalescing, "LONGEST_LINGER_MS", 5_000.0)
    line._took = 10.0
    began = time.monotonic()
    assert line.execute(["alone"]) == ["alone"]  # type: ignore[list-item,comparison-overlap]
    assert time.monotonic() - began < 2, "nobody else was there a moment ago"
