"""The boards of all processes of this machine."""

import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson

from ops.board.layout import (
    BUCKET,
    COUNTER,
    FACTS_AT,
    HEADER_AT,
    IN_HAND_AT,
    RECORD,
    SECONDS,
    SLOTS,
    bucket_at,
    slot_at,
)
from ops.board.opening import Opened, opened

TRIES = 20
LOOK = 0.1
"""Seconds for which `one_look` holds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One process. `slots` and `facts` are empty for one that has ended: only its counts still matter."""

    alive: bool
    process: dict[str, Any]
    """host, pid, command, role ("web", "relay"...), started (Unix time)."""
    facts: dict[str, Any]
    slots: list[dict[str, Any]]


class _Look:
    """What was read of the boards, for `LOOK` seconds."""

    def __init__(self) -> None:
        self.at = 0.0
        self.files: list[tuple[Opened, bool]] | None = None
        self.boards: list[Seen] | None = None


_look: ContextVar[_Look | None] = ContextVar("look", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Within the block the boards are read once in a tenth of a second, however often they are asked for: for those
    who put many questions for one answer, such as a lane of health checks."""
    token = _look.set(_Look())
    try:
        yield
    finally:
        _look.reset(token)


def _current() -> _Look:
    look = _look.get() or _Look()
    now = time.monotonic()
    if now - look.at > LOOK:
        look.at, look.files, look.boards = now, None, None
    return look


def _files() -> list[tuple[Opened, bool]]:
    look = _current()
    if look.files is None:
        look.files = opened()
    return look.files


def boards() -> list[Seen]:
    """All processes that live, in the order of their start."""
    look = _current()
    if look.boards is None:
        look.boards = _read_boards()
    return look.boards


def _read_boards() -> list[Seen]:
    found = [
        Seen(True, process, _record(view, FACTS_AT), _slots(view))
        for view in _of_the_living()
        if (process := _record(view, HEADER_AT))
    ]
    return sorted(found, key=lambda seen: seen.process["started"])


def own_slots() -> list[dict[str, Any]]:
    """This process's operations."""
    me = socket.gethostname(), os.getpid()
    return [slot for seen in boards() if (seen.process["host"], seen.process["pid"]) == me for slot in seen.slots]


def in_hand() -> int:
    """Operations in hand in all processes."""
    return sum(COUNTER.unpack_from(view, IN_HAND_AT)[0] for view in _of_the_living())


def _of_the_living() -> Iterator[mmap.mmap]:
    return (board.view for board, alive in _files() if alive)


def total(name: str, seconds: int) -> int:
    """The sum of a series over the last `seconds` (at most 600), in all processes, also those that have ended."""
    return sum(totals_by_second(name, seconds).values())


def totals(names: Iterable[str], seconds: int) -> Counter[str]:
    """The sums of several series over the last `seconds`, in one pass over the boards."""
    found: Counter[str] = Counter()
    for name, _, value in _counted(names, seconds):
        found[name] += value
    return found


def totals_by_second(name: str, seconds: int) -> Counter[int]:
    """By Unix second; seconds without a count are left out."""
    found: Counter[int] = Counter()
    for _, second, value in _counted([name], seconds):
        found[second] += value
    return found


def _counted(names: Iterable[str], seconds: int) -> Iterator[tuple[str, int, int]]:
    """(series, second, count) on every board, also of processes that have ended."""
    now = int(time.time())
    first = now - min(seconds, SECONDS) + 1
    wanted = list(names)
    for board, _ in _files():
        if board.last_count < first:
            continue
        known = board.names
        for name in wanted:
            if name in known:
                for second, value in _counts(board.view, known[name], first, now):
                    yield name, second, value


def _counts(view: mmap.mmap, series: int, first: int, last: int) -> list[tuple[int, int]]:
    """(second, count) of the seconds from `first` to `last` in which something was counted. The ring is read in one
    piece, or in two where it wraps: struct by struct costs five times as much."""
    begin, end = bucket_at(series, first), bucket_at(series, last) + BUCKET.size
    whole = bucket_at(series, 0)
    raw = view[begin:end] if begin < end else view[begin : whole + SECONDS * BUCKET.size] + view[whole:end]
    return [bucket for bucket in BUCKET.iter_unpack(raw) if first <= bucket[0] <= last]


def _slots(view: mmap.mmap) -> list[dict[str, Any]]:
    """The operations in hand. Low places are taken first, so the search ends with the last one in hand."""
    found: list[dict[str, Any]] = []
    wanted = COUNTER.unpack_from(view, IN_HAND_AT)[0]
    for number in range(SLOTS):
        if len(found) >= wanted:
            break
        if slot := _record(view, slot_at(number)):
            found.append(slot)
    return found


def _record(view: mmap.mmap, at: int) -> dict[str, Any]:
    """Empty where there is none, or where it keeps changing under the eye."""
    for _ in range(TRIES):
        before, length = RECORD.unpack_from(view, at)
        if before % 2 == 0:
            if not length:
                return {}
            body = view[at + RECORD.size : at + RECORD.size + length]
            if RECORD.unpack_from(view, at)[0] == before:
                return dict(orjson.loads(body))
        time.sleep(0)
    return {}
