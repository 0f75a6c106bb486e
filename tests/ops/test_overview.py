"""The first page answers quickly whatever hangs, and says what has not answered."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from ops import overview
from ops.health import registry
from ops.health.registry import register_check
from ops.health.report import Report
from ops.overview import Tile
from tests.bank import Bank
from tests.staff import make_staff, signed_in


class Valve:
    """A component that answers, or hangs while it is shut."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    def check(self) -> Report:
        self.open.wait(20)
        return Report("healthy", "it flows", {"litres": 7})


@pytest.fixture
def valve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Valve]:
    valve = Valve()
    tile = Tile(
        "valve", "The valve", lambda values: f"{values['litres']} litres", "admin:index", "ops.view_operations"
    )
    monkeypatch.setattr(registry, "_checks", dict(registry._checks))
    monkeypatch.setattr(registry, "_lanes", dict(registry._lanes))
    monkeypatch.setattr(overview, "_tiles", [*overview._tiles, tile])
    register_check("valve", valve.check)
    yield valve
    valve.open.set()


def look(client: Client) -> tuple[dict[str, Any], float, str]:
    """The state that the page shows, the seconds that it took, and the page."""
    began = time.monotonic()
    answer: Any = client.get("/admin/")
    return answer.context["state"], time.monotonic() - began, answer.content.decode()


def tile_of(state: dict[str, Any], title: str) -> dict[str, Any]:
    return next(tile for tile in state["tiles"] if tile["title"] == title)


@pytest.fixture
def client(bank: Bank) -> Callable[[], Client]:
    client = signed_in(make_staff("operator"))
    client.get("/admin/")  # what is done once, such as making connections, is done
    return lambda: client


def test_a_component_that_hangs_keeps_nobody_waiting_and_is_named(valve: Valve, client: Callable[[], Client]) -> None:
    valve.open.clear()
    look(client())  # the answer of before was on its way

    state, seconds, page = look(client())

    assert seconds < 1.5
    assert state["silent"] == ["valve"]
    assert "No answer yet: valve." in page
    assert state["status"] != "healthy"
    assert tile_of(state, "The valve")["status"] == "no answer yet"
    assert tile_of(state, "PostgreSQL")["status"] == "healthy", "what has answered is shown"


def test_of_a_component_that_hangs_what_was_known_last_is_shown(valve: Valve, client: Callable[[], Client]) -> None:
    assert tile_of(look(client())[0], "The valve")["figure"] == "7 litres"

    valve.open.clear()
    state, _, _ = look(client())

    tile = tile_of(state, "The valve")
    assert (tile["figure"], tile["status"]) == ("7 litres", "no answer yet")
    assert "it said: it flows" in dict(state["reasons"])["valve"]


def test_when_it_answers_again_all_is_known_again(valve: Valve, client: Callable[[], Client]) -> None:
    valve.open.clear()
    look(client())
    valve.open.set()
    time.sleep(0.1)

    state, _, page = look(client())

    assert state["silent"] == []
    assert "No answer yet" not in page
    assert tile_of(state, "The valve")["status"] == "healthy"
