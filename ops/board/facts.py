"""What each process says of itself, once a second: its pool, caches, breakers, monitor.

A part of the program registers a function; a thread of the process calls all of them and publishes what they return
on the board. The thread starts with the process's first operation or pool, and is no burden to a process that ends.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from ops import board

log = structlog.get_logger(__name__)

PERIOD = 1.0
"""Seconds between two publications."""
FACT_SIZE = 12 * 1024
"""Bytes of one fact. A larger one is left out, and says so, so that it costs no other its place."""

Fact = Callable[[], dict[str, Any] | None]
_facts: dict[str, Fact] = {}
_duties: list[Callable[[], None]] = []
_thread: threading.Thread | None = None
_begin = threading.Lock()


def register_fact(name: str, function: Fact) -> None:
    """Publishes what `function` returns under `name`, JSON-ready and bounded; None: nothing to say.

    It is called from a thread of its own: it must be quick (microseconds), safe beside the others, and use neither
    database nor network.

    Raises:
        ValueError: the name is taken.
    """
    if _facts.get(name, function) is not function:
        raise ValueError(f"fact {name!r} is registered twice")
    _facts[name] = function


def every_second(duty: Callable[[], None]) -> None:
    """Has `duty` called before each publication, under the same conditions."""
    if duty not in _duties:
        _duties.append(duty)


def start() -> None:
    """Starts the thread, unless it runs. Cheap: called at every operation."""
    if _thread is None:
        _start()


def _start() -> None:
    global _thread
    with _begin:
        if _thread is None:
            _thread = threading.Thread(target=_run, name="facts", daemon=True)
            try:
                _thread.start()
            except RuntimeError:  # the process is ending
                _thread = None


def _run() -> None:
    failing: set[str] = set()
    while True:
        tell(failing)
        time.sleep(PERIOD)


def tell(failing: set[str] | None = None) -> None:
    """Publishes now. A function that fails is logged once, until it succeeds again (`failing` remembers)."""
    failing = set() if failing is None else failing
    for duty in list(_duties):
        _guarded(duty.__qualname__, duty, failing)
    told = {name: _guarded(name, function, failing) for name, function in list(_facts.items())}
    board.publish({name: _bounded(fact) for name, fact in told.items() if fact is not None} | {"told": time.time()})


def _guarded(name: str, function: Callable[[], dict[str, Any] | None], failing: set[str]) -> dict[str, Any] | None:
    try:
        fact = function()
    except Exception as error:
        if name not in failing:
            log.warning("fact_failed", fact=name, exc_info=error)
            failing.add(name)
        return {"error": repr(error)[:500]}
    failing.discard(name)
    return fact


def _bounded(fact: dict[str, Any]) -> dict[str, Any]:
    size = len(orjson.dumps(fact))
    return fact if size <= FACT_SIZE else {"error": f"{size} bytes are too many"}


def _after_fork() -> None:
    global _thread, _begin
    _thread, _begin = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
