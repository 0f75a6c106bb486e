"""/health tells the truth, in time, and names who is to blame."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from ops.conf import get_settings
from ops.endpoints import COMPONENTS
from ops.health import registry, running
from ops.health.registry import register_check, registered_checks
from ops.health.report import Limit, Report, judge
from tests.ops.operators import Operator
from tests.pools import all_connections_taken


@pytest.fixture
def own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks registered by a test are gone after it."""
    monkeypatch.setattr(registry, "_checks", dict(registry._checks))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEALTH_CHECK_TIMEOUT=1."""
    config = get_settings().model_copy(update={"health_check_timeout": 1})
    monkeypatch.setattr(running, "get_settings", lambda: config)


@pytest.fixture
def exhausted_pool(db: None) -> Iterator[None]:
    with all_connections_taken():
        yield


@pytest.fixture
def no_redis(db: None) -> Iterator[None]:
    """The cache points at a port where nobody listens."""
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    with override_settings(CACHES={**settings.CACHES, "default": nowhere}):
        yield


@pytest.mark.parametrize("path", ["/health", "/health/"])
def test_it_tells_of_every_component(operator: Operator, path: str) -> None:
    answer = operator.get(path)

    assert answer.status_code == 200
    told = answer.json()["components"]
    assert set(COMPONENTS) == set(told) == set(registered_checks())
    assert told["database"]["status"] == told["redis"]["status"] == told["pool"]["status"] == "healthy"
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_each_component_has_a_page_of_its_own(operator: Operator, name: str, slash: str) -> None:
    answer = operator.get(f"/health/{name}{slash}")

    assert answer.json()["component"] == name
    assert answer.status_code == (503 if answer.json()["status"] == "unhealthy" else 200)
    assert answer.json()["reason"]


def test_there_is_no_page_of_what_is_no_component(operator: Operator) -> None:
    assert operator.get("/health/weather").status_code == 404


@pytest.mark.usefixtures("exhausted_pool")
def test_a_pool_without_a_free_connection_is_unhealthy_within_the_time_limit(operator: Operator) -> None:
    started = time.monotonic()

    answers = [operator.get("/health"), operator.get("/health/ready")]

    assert time.monotonic() - started < 8
    assert [answer.status_code for answer in answers] == [503, 503]
    for answer in answers:
        assert answer.json()["status"] == "unhealthy"
        assert "database" in answer.json()["culprits"]
    assert "no connection" in answers[0].json()["reason"]


@pytest.mark.usefixtures("exhausted_pool")
def test_a_live_process_is_live_whatever_else_is_down(operator: Operator) -> None:
    started = time.monotonic()

    answer = operator.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert time.monotonic() - started < 1


@pytest.mark.usefixtures("no_redis")
def test_without_redis_it_is_unhealthy_and_still_ready(operator: Operator) -> None:
    """Money moves without it."""
    answer = operator.get("/health")

    assert answer.status_code == 503
    assert answer.json()["components"]["redis"]["status"] == "unhealthy"
    assert answer.json()["components"]["database"]["status"] == "healthy"
    assert "redis: does not answer" in answer.json()["reason"]
    assert "127.0.0.1" not in answer.json()["reason"]
    assert operator.get("/health/ready").status_code == 200


@pytest.mark.usefixtures("own_checks", "brief")
def test_a_check_that_hangs_is_given_up_keeps_one_thread_and_is_told_of_at_once(operator: Operator) -> None:
    end = threading.Event()

    def hang() -> Report:
        end.wait(20)
        return Report("healthy", "answers again")

    register_check("hanging", hang, serving=True)
    started = time.monotonic()
    first = operator.get("/health/ready")
    waited = time.monotonic() - started
    later = [operator.get("/health/hanging") for _ in range(5)]
    quickly = time.monotonic() - started - waited
    threads = [thread for thread in threading.enumerate() if thread.name == "health-hanging"]
    end.set()
    threads[0].join(5)

    assert (first.status_code, first.json()["culprits"]) == (503, ["hanging"])
    assert 0.9 < waited < 2.5
    assert quickly < 0.5
    assert {answer.json()["reason"][:36] for answer in later} == {"no answer within 1 s: still hanging s"[:36]}
    assert len(threads) == 1
    assert operator.get("/health/hanging").json()["reason"] == "answers again"


@pytest.mark.usefixtures("own_checks")
def test_a_check_that_breaks_tells_nothing_of_the_inside(operator: Operator) -> None:
    def broken() -> Report:
        raise RuntimeError("password=hunter2")

    register_check("broken", broken)
    answer = operator.get("/health")

    assert answer.status_code == 503
    assert answer.json()["components"]["broken"]["status"] == "unhealthy"
    assert "hunter2" not in answer.content.decode()
    assert operator.get("/health/ready").status_code == 200


@pytest.mark.usefixtures("own_checks")
@pytest.mark.usefixtures("own_checks", "brief")
def test_whatever_a_check_raises_its_lane_goes_on(operator: Operator) -> None:
    def leaves() -> Report:
        raise SystemExit(1)

    register_check("leaving", leaves, asks="one of them")
    register_check("staying", lambda: Report("healthy", "it is there"), asks="one of them")

    for _ in range(2):
        told = operator.get("/health").json()["components"]
        assert told["leaving"]["reason"] == "the check failed: SystemExit"
        assert told["staying"]["reason"] == "it is there"


@pytest.mark.usefixtures("own_checks", "brief")
def test_a_lane_for_which_no_thread_was_to_be_had_is_tried_again(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_check("late", lambda: Report("healthy", "it is there"))

    def at_the_limit(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", at_the_limit)
        with pytest.raises(RuntimeError):
            running.run_checks([registered_checks()["late"]])

    assert operator.get("/health/late").json()["reason"] == "it is there"


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register_check("database", lambda: Report("healthy", ""))


def test_health_is_only_read(operator: Operator) -> None:
    assert operator.http.post("/health").status_code == 405


def test_a_threshold_is_crossed_beyond_it_and_not_at_it() -> None:
    limits = (Limit("load", "heavy", degraded=0.8, unhealthy=1.0), Limit("left", "few", unhealthy=3, least=True))

    def status(**values: float | None) -> str:
        return judge(values, limits, well="fine").status

    assert status(load=0.8, left=3) == status(load=None, left=None) == status() == "healthy"
    assert status(load=0.81, left=3) == "degraded"
    assert status(load=1.1, left=3) == status(load=0.1, left=2) == "unhealthy"
    both = judge({"load": 0.9, "left": 1}, limits, well="fine")
    assert [crossed.value for crossed in both.thresholds] == ["load", "left"]
    assert both.reason == "heavy (load 0.9, above 0.8); few (left 1, below 3)"


@pytest.mark.usefixtures("own_checks")
def test_checks_that_ask_different_components_run_side_by_side_and_those_of_one_in_turn(operator: Operator) -> None:
    """How many milliseconds it takes, `python -m tests.benchmarks.endpoints` tells: no bound fits all machines."""
    meeting, alone = threading.Barrier(2), threading.Lock()

    def meets() -> Report:
        meeting.wait(4)
        return Report("healthy", "met the other")

    def has_its_turn() -> Report:
        assert alone.acquire(blocking=False)
        time.sleep(0.05)
        alone.release()
        return Report("healthy", "was alone")

    register_check("here", meets)
    register_check("there", meets)
    register_check("first", has_its_turn, asks="one of them")
    register_check("second", has_its_turn, asks="one of them")
    told = operator.get("/health").json()["components"]

    assert told["here"]["reason"] == told["there"]["reason"] == "met the other"
    assert told["first"]["reason"] == told["second"]["reason"] == "was alone"
