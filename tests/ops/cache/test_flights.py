"""Threads that ask for the same thing at the same time share a load, but only one that has not begun."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from ops.cache.flights import Flights
from tests.processes import wait_until
from tests.threads import together


class Source:
    """Gives what it held when the load began, once it is let."""

    def __init__(self) -> None:
        self.value = 1
        self.loads = 0
        self.let = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.lock = threading.Lock()

    def load(self) -> int:
        with self.lock:
            self.loads += 1
            seen = self.value
        self.begun.release()
        assert self.let.acquire(timeout=10)
        return seen


def waiting(flights: Flights[int]) -> int:
    lane = flights._lanes.get("key")
    return lane.behind.waiting if lane and lane.behind else 0


def test_who_comes_after_a_load_began_is_not_answered_with_what_that_load_saw() -> None:
    flights, source = Flights[int](wait=5), Source()
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(flights.run, "key", source.load)
        assert source.begun.acquire(timeout=5)
        source.value = 2  # a write that is acknowledged now
        later: list[Future[int]] = [pool.submit(flights.run, "key", source.load) for _ in range(15)]
        wait_until(lambda: waiting(flights) == 15, 5, pause=0.002)
        source.let.release(2)

        assert first.result(timeout=5) == 1
        assert [one.result(timeout=5) for one in later] == [2] * 15
    assert source.loads == 2, "fifteen shared one load"
    assert len(flights) == 0


def test_keys_do_not_wait_for_each_other() -> None:
    flights, source = Flights[int](wait=5), Source()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(flights.run, "slow", source.load)
        assert source.begun.acquire(timeout=5)
        assert flights.run("quick", lambda: 7) == 7
        source.let.release()
        stuck.result(timeout=5)


def test_nobody_waits_longer_than_the_bound_and_then_loads_alone() -> None:
    flights, source = Flights[int](wait=0.1), Source()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(flights.run, "key", source.load)
        assert source.begun.acquire(timeout=5)
        began = time.monotonic()
        assert flights.run("key", lambda: 7) == 7
        assert 0.1 <= time.monotonic() - began < 2
        source.let.release()
        assert stuck.result(timeout=5) == 1
    assert len(flights) == 0, "a flight that nobody waits for any more stays behind"


def test_a_failed_load_fails_for_who_made_it_alone() -> None:
    flights, source = Flights[int](wait=5), Source()

    def fail() -> int:
        source.load()
        raise OSError("the source is down")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(flights.run, "key", fail)
        assert source.begun.acquire(timeout=5)
        second = pool.submit(flights.run, "key", fail)
        wait_until(lambda: waiting(flights) == 1, 5, pause=0.002)
        third = pool.submit(flights.run, "key", lambda: 7)
        wait_until(lambda: waiting(flights) == 2, 5, pause=0.002)
        source.let.release(3)
        with pytest.raises(OSError, match="down"):
            first.result(timeout=5)
        results = {type(one.exception(timeout=5)) for one in (second, third)}
    assert results <= {type(None), OSError}
    assert third.exception() is None
    assert len(flights) == 0


def test_a_stampede_leads_to_a_handful_of_loads() -> None:
    flights = Flights[int](wait=5)
    loads: list[int] = []

    def load() -> int:
        loads.append(1)
        time.sleep(0.02)
        return 1

    together([lambda: [flights.run("key", load) for _ in range(10)]] * 16)

    assert len(loads) < 160 / 4
    assert len(flights) == 0
