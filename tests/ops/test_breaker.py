"""A circuit breaker leaves alone what keeps failing, and tries it again without making a caller wait."""

import threading
import time

import pytest
from prometheus_client import REGISTRY

from ops.breaker import CircuitBreaker, CircuitOpen, State, details, states
from tests.processes import wait_until
from tests.threads import together


class Service:
    """Fails while it is down; hangs on its event while that is not set."""

    def __init__(self) -> None:
        self.down = False
        self.calls = 0
        self.answering = threading.Event()
        self.answering.set()

    def call(self) -> str:
        self.calls += 1
        self.answering.wait(10)
        if self.down:
            raise ConnectionError("down")
        return "answer"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(service: Service, clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(
        "a-test", on=(ConnectionError,), probe=service.call, failures=3, window=10, pause=2, clock=clock
    )


def fail(breaker: CircuitBreaker, service: Service, times: int = 1) -> None:
    service.down = True
    for _ in range(times):
        with pytest.raises(ConnectionError):
            breaker.call(service.call)


def test_it_opens_after_some_failures_within_the_window_and_then_calls_nothing(
    breaker: CircuitBreaker, service: Service
) -> None:
    fail(breaker, service, 2)
    assert breaker.state is State.CLOSED
    fail(breaker, service)
    assert breaker.state is State.OPEN

    calls = service.calls
    with pytest.raises(CircuitOpen):
        breaker.call(service.call)
    assert service.calls == calls


def test_failures_that_are_further_apart_than_the_window_do_not_open_it(
    breaker: CircuitBreaker, service: Service, clock: Clock
) -> None:
    for _ in range(10):
        fail(breaker, service)
        clock.now += 5.1
    assert breaker.state is State.CLOSED


def test_answers_in_between_do_not_hide_that_it_fails_often(breaker: CircuitBreaker, service: Service) -> None:
    for _ in range(3):
        assert breaker.state is State.CLOSED
        service.down = False
        breaker.call(service.call)
        fail(breaker, service)
    assert breaker.state is State.OPEN


def test_an_error_that_is_an_answer_is_no_failure(breaker: CircuitBreaker) -> None:
    for _ in range(10):
        with pytest.raises(ValueError, match="invalid"):
            breaker.call(lambda: int("x"))
    assert breaker.state is State.CLOSED


def test_after_the_pause_one_probe_closes_it_or_opens_it_again(
    breaker: CircuitBreaker, service: Service, clock: Clock
) -> None:
    fail(breaker, service, 3)

    clock.now += 2
    with pytest.raises(CircuitOpen):
        breaker.call(service.call)
    wait_until(lambda: breaker.state is State.OPEN, 5, pause=0.005)  # the probe failed

    service.down = False
    clock.now += 2
    with pytest.raises(CircuitOpen):
        breaker.call(service.call)
    wait_until(lambda: breaker.state is State.CLOSED, 5, pause=0.005)
    assert breaker.call(service.call) == "answer"


def test_no_caller_waits_for_the_probe_of_something_that_hangs_and_there_is_only_one(
    breaker: CircuitBreaker, service: Service, clock: Clock
) -> None:
    fail(breaker, service, 3)
    calls = service.calls
    service.answering.clear()
    clock.now += 2

    def turned_away() -> float:
        began = time.monotonic()
        with pytest.raises(CircuitOpen):
            breaker.call(service.call)
        return time.monotonic() - began

    waits = together([turned_away] * 16)

    assert max(waits) < 1
    assert breaker.state is State.HALF_OPEN
    assert service.calls == calls + 1
    service.down = False
    service.answering.set()
    wait_until(lambda: breaker.state is State.CLOSED, 5, pause=0.005)


def test_its_state_is_told_and_its_openings_are_counted(breaker: CircuitBreaker, service: Service) -> None:
    before = REGISTRY.get_sample_value("circuit_breaker_opened_total", {"breaker": "a-test"}) or 0
    assert states()["a-test"] == "closed"
    fail(breaker, service, 3)
    assert states()["a-test"] == "open"
    assert REGISTRY.get_sample_value("circuit_breaker_opened_total", {"breaker": "a-test"}) == before + 1


def test_it_tells_since_when_it_is_as_it_is_and_how_many_failures_count(
    breaker: CircuitBreaker, service: Service, clock: Clock
) -> None:
    closed_since = breaker.told()["since"]
    fail(breaker, service)
    clock.now += 8
    fail(breaker, service)
    assert breaker.told()["failures"] == 2
    clock.now += 3
    told = breaker.told()
    assert (told["failures"], told["since"], told["opened"]) == (1, closed_since, 0), "the first is out of the window"

    fail(breaker, service, times=2)
    open_since = breaker.told()["since"]
    assert (breaker.told()["state"], breaker.told()["opened"]) == ("open", 1)
    assert open_since > closed_since
    clock.now += 2
    with pytest.raises(CircuitOpen):
        breaker.call(service.call)
    wait_until(lambda: breaker.state is State.OPEN)
    assert breaker.told()["opened"] == 1, "a probe that fails does not open it anew"
    assert breaker.told() in details()["breakers"]
