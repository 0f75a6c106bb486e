"""/health tells the truth, in time, to everybody."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client, override_settings
from health_check.base import HealthCheck

from ops.health import registry
from ops.health.registry import register_check
from tests.pools import all_connections_taken


@pytest.fixture
def browser(db: None) -> Client:
    return Client()


@pytest.fixture
def own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks registered by a test are gone after it."""
    monkeypatch.setattr(registry, "_checks", dict(registry._checks))


@pytest.fixture
def exhausted_pool(db: None) -> Iterator[None]:
    with all_connections_taken():
        yield


@pytest.fixture
def no_redis(db: None) -> Iterator[None]:
    """The cache points at a port where nobody listens."""
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    with override_settings(CACHES={"default": nowhere}):
        yield


@pytest.mark.parametrize("path", ["/health", "/health/", "/health/ready", "/health/ready/"])
def test_with_everything_up_it_is_healthy_without_a_key(browser: Client, path: str) -> None:
    answer = browser.get(path)

    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"
    assert answer.json()["checks"]["database"]["status"] == "healthy"
    assert "no-store" in answer["Cache-Control"]


def test_it_names_every_check(browser: Client) -> None:
    assert {"database", "cache"} <= set(browser.get("/health").json()["checks"])


@pytest.mark.usefixtures("exhausted_pool")
def test_a_pool_without_a_free_connection_is_unhealthy_within_the_time_limit(browser: Client) -> None:
    """Row 17: /health was the word "healthy"."""
    started = time.monotonic()

    answers = [browser.get("/health"), browser.get("/health/ready")]

    assert time.monotonic() - started < 8
    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["status"] == "unhealthy"
        assert answer.json()["checks"]["database"]["status"] == "unhealthy"
        assert answer.json()["checks"]["database"]["error"]


@pytest.mark.usefixtures("exhausted_pool")
def test_a_live_process_is_live_whatever_else_is_down(browser: Client) -> None:
    started = time.monotonic()

    answer = browser.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})
    assert time.monotonic() - started < 1


@pytest.mark.usefixtures("no_redis")
def test_without_the_cache_it_is_unhealthy_and_still_ready(browser: Client) -> None:
    """Row 17: the health of Redis was a constant. (Money moves without the cache.)"""
    answer = browser.get("/health")

    assert answer.status_code == 503
    assert answer.json()["checks"]["cache"]["status"] == "unhealthy"
    assert answer.json()["checks"]["database"]["status"] == "healthy"
    assert "127.0.0.1" not in answer.content.decode()
    assert browser.get("/health/ready").status_code == 200


@dataclass
class Hanging(HealthCheck):
    timeout = timedelta(seconds=0.1)

    def run(self) -> None:
        time.sleep(4)


@dataclass
class Broken(HealthCheck):
    def run(self) -> None:
        raise RuntimeError("password=hunter2")


@pytest.mark.usefixtures("own_checks")
def test_a_check_that_hangs_is_given_up(browser: Client) -> None:
    register_check("hanging", Hanging(), serving=True)
    started = time.monotonic()

    answer = browser.get("/health")

    assert time.monotonic() - started < 3
    assert answer.status_code == 503
    assert answer.json()["checks"]["hanging"]["error"]


@pytest.mark.usefixtures("own_checks")
def test_a_check_that_breaks_tells_nothing_of_the_inside(browser: Client) -> None:
    register_check("broken", Broken())

    answer = browser.get("/health")

    assert answer.status_code == 503
    assert answer.json()["checks"]["broken"]["status"] == "unhealthy"
    assert "hunter2" not in answer.content.decode()
    assert browser.get("/health/ready").status_code == 200


@pytest.mark.usefixtures("own_checks")
def test_a_name_is_taken_once() -> None:
    register_check("mine", Broken())

    with pytest.raises(ValueError, match="twice"):
        register_check("mine", Broken())


def test_health_is_only_read(browser: Client) -> None:
    assert browser.post("/health").status_code == 405
