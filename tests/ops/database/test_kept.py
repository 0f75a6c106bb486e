"""A thread for bursts of work keeps its connection from piece to piece, and no longer than it says."""

import queue
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from structlog.testing import capture_logs

from ops.database import kept
from ops.database.kept import KeepingThread

pytestmark = pytest.mark.usefixtures("db")


class Asked:
    """Pieces of work that tell which backend they work with, and since when they have it."""

    def __init__(self) -> None:
        self.thread = KeepingThread("kept-test")
        self._told: queue.Queue[tuple[int, float]] = queue.Queue()

    def submit(self, before: Callable[[], None] = lambda: None) -> None:
        def piece() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (pid,) = cursor.fetchone()
            self._told.put((pid, held()[id(connection.connection)].since))
            before()

        self.thread.submit(piece)

    def answer(self) -> tuple[int, float]:
        return self._told.get(timeout=10)


def held() -> dict[int, Any]:
    """What the pool has handed out to such threads."""
    checkouts = connection.pool.checkouts  # type: ignore[attr-defined]
    return {key: each for key, each in list(checkouts.items()) if each.thread_name.startswith("kept-test")}


def until_it_is_returned() -> None:
    deadline = time.monotonic() + 10
    while held():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_pieces_that_follow_one_another_share_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_FOR", 1.0)
    monkeypatch.setattr(kept, "KEPT_AT_MOST", 60.0)
    asked = Asked()
    asked.submit()
    first = asked.answer()
    asked.submit()
    assert asked.answer() == first
    assert held(), "more may come"
    until_it_is_returned()


def test_it_is_returned_a_moment_after_the_last() -> None:
    asked = Asked()
    asked.submit()
    _, since = asked.answer()
    until_it_is_returned()
    asked.submit()
    assert asked.answer()[1] > since


def test_work_that_goes_on_and_on_lets_go_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT_FOR", 1.0)
    monkeypatch.setattr(kept, "KEPT_AT_MOST", 0.0)
    asked = Asked()
    for _ in range(3):
        asked.submit()
    assert len({asked.answer()[1] for _ in range(3)}) == 3
    until_it_is_returned()


def test_a_connection_that_the_server_ended_meanwhile_is_not_used(
    monkeypatch: pytest.MonkeyPatch, sweeper: psycopg.Connection
) -> None:
    monkeypatch.setattr(kept, "KEPT_FOR", 1.0)
    monkeypatch.setattr(kept, "KEPT_AT_MOST", 60.0)
    asked = Asked()
    asked.submit()
    first, _ = asked.answer()
    sweeper.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    asked.submit()
    assert asked.answer()[0] != first
    until_it_is_returned()


@pytest.mark.parametrize("error", [ValueError("on purpose"), SystemExit()])
def test_a_piece_that_fails_is_logged_and_stops_none_after_it(error: BaseException) -> None:
    def fail() -> None:
        raise error

    asked = Asked()
    with capture_logs() as logs:
        asked.submit(fail)
        asked.submit()
        asked.answer()
        asked.answer()
    assert [(each["event"], each["log_level"], each["exc_info"]) for each in logs] == [
        ("piece_of_work_failed", "error", True)
    ]
    until_it_is_returned()


def test_a_connection_that_cannot_be_returned_stops_no_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise psycopg.OperationalError("on purpose")

    monkeypatch.setattr(kept, "KEPT_AT_MOST", 0.0)
    asked = Asked()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(kept, "close_old_connections", fail)
        for _ in range(2):
            asked.submit()
            asked.answer()
    assert "connection_not_returned" in {each["event"] for each in logs}
    asked.submit()
    asked.answer()
    until_it_is_returned()


def test_pieces_run_once_and_in_order_also_when_they_come_as_the_thread_is_about_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "KEPT_FOR", 0.001)
    thread, ran = KeepingThread("kept-test"), queue.SimpleQueue[int]()
    for number in range(300):
        thread.submit(ran.put, number)
        time.sleep(0.001 * (number % 4) / 2)
    assert [ran.get(timeout=10) for _ in range(300)] == list(range(300))
    assert ran.empty()
