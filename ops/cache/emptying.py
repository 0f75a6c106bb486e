"""Emptying a cache: all that is of it in Redis, and the memories of all processes of this machine.

No read can be wrong for it, however it meets with reads and writes under way: a document that is missing is asked of
its source, and nothing is ever removed from there. What a reader stores meanwhile may survive; it is a document at a
version, as true as any other.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import redis
import structlog

from ops import board
from ops.board.layout import directory
from ops.cache.registry import browsable, names
from ops.cache.shared import SharedCache

log = structlog.get_logger(__name__)

REQUEST = "cache-emptying"
"""A file beside the boards: whenever it changes, every process of the machine forgets what its caches hold."""
BATCH = 500
CONFIRMED_WITHIN = 5.0
"""Seconds; each process looks once a second."""


class RedisFailed(Exception):
    """Redis did not answer; what was removed by then stays removed."""

    def __init__(self, removed: int) -> None:
        super().__init__("Redis does not answer")
        self.removed = removed


class _Emptied:
    """What this process knows of requests."""

    request: int | None = None
    at: float | None = None


_own = _Emptied()


def empty_shared(shared: SharedCache[Any], told: Callable[[int], None]) -> int:
    """Removes every key of the cache from Redis, in batches; returns how many there were. `told` is called after each
    batch with the count so far, and may raise to stop.

    Raises:
        RedisFailed: Redis does not answer.
    """
    removed = 0
    cursor: int | None = None
    while cursor != 0:
        found = shared.attempt(partial(_remove_page, shared.name, cursor or 0))
        if found is None:
            raise RedisFailed(removed)
        cursor, count = found
        removed += count
        told(removed)
    return removed


def count_shared(shared: SharedCache[Any], *, most: int, within: float) -> tuple[int, bool] | None:
    """How many keys of the cache Redis holds, and whether those are all: it looks for so many seconds, and counts to
    `most`. None: Redis does not answer."""
    deadline, count = time.monotonic() + within, 0
    cursor: int | None = None
    while cursor != 0 and count < most and time.monotonic() < deadline:
        found = shared.attempt(partial(_page, shared.name, cursor or 0))
        if found is None:
            return None
        cursor, keys = found
        count += len(keys)
    return count, cursor == 0


def _page(name: str, cursor: int, client: redis.Redis) -> tuple[int, list[bytes]]:
    found: Any = client.scan(cursor, match=f"{name}:*", count=BATCH)
    return found[0], found[1]


def _remove_page(name: str, cursor: int, client: redis.Redis) -> tuple[int, int]:
    at, keys = _page(name, cursor, client)
    gone: Any = client.unlink(*keys) if keys else 0
    return at, gone


# -- the memories of the processes


def empty_memories() -> tuple[int, list[int]]:
    """Has every process of this machine forget what its caches hold, and waits until they have said so; returns how
    many were asked, and the ids of those that did not answer: they may hang."""
    look()  # so that the file as it is now is known, and the change is seen
    began, asked = time.time(), {seen.process["pid"] for seen in _holders()}
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    _path().write_text(f"{began}\n", encoding="ascii")
    look()
    deadline = time.monotonic() + CONFIRMED_WITHIN
    missing = asked
    while missing and time.monotonic() < deadline:
        time.sleep(0.1)
        missing = {seen.process["pid"] for seen in _holders() if _told_at(seen) < began} & asked
    return len(asked), sorted(missing)


def look() -> None:
    """Once a second, in each process: empties its memory where that was asked for since the last look."""
    try:
        number = _path().stat().st_mtime_ns
    except OSError:
        number = 0
    if _own.request is not None and number != _own.request:
        for name in names():
            browsable(name).cache().clear_local()
        _own.at = time.time()
        log.warning("cache_emptied")
    _own.request = number


def fact() -> dict[str, Any]:
    return {"at": _own.at}


def _holders() -> Iterator[board.Seen]:
    return (seen for seen in board.boards() if "cache_emptied" in seen.facts)


def _told_at(seen: board.Seen) -> float:
    return seen.facts["cache_emptied"].get("at") or 0.0


def _path() -> Path:
    return directory() / REQUEST
