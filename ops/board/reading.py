"""The boards of all processes of this machine."""

import fcntl
import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ops.board.layout import (
    BUCKET,
    COUNTER,
    FACTS_AT,
    HEADER_AT,
    IN_HAND_AT,
    LAST_COUNT,
    LAST_COUNT_AT,
    MAGIC,
    NAME_SIZE,
    NAMES_AT,
    RECORD,
    SECONDS,
    SERIES,
    SIZE,
    SLOTS,
    SUFFIX,
    bucket_at,
    directory,
    slot_at,
)

TRIES = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """One process. `slots` and `facts` are empty for one that has ended: only its counts still matter."""

    alive: bool
    process: dict[str, Any]
    """host, pid, command, role ("web", "relay"...), started (Unix time)."""
    facts: dict[str, Any]
    slots: list[dict[str, Any]]


def boards() -> list[Seen]:
    """All processes that live, in the order of their start."""
    found = [
        Seen(True, process, _record(view, FACTS_AT), _slots(view))
        for view, alive in _views()
        if alive and (process := _record(view, HEADER_AT))
    ]
    return sorted(found, key=lambda seen: seen.process["started"])


def own_slots() -> list[dict[str, Any]]:
    """This process's operations."""
    me = socket.gethostname(), os.getpid()
    return [slot for seen in boards() if (seen.process["host"], seen.process["pid"]) == me for slot in seen.slots]


def in_hand() -> int:
    """Operations in hand in all processes."""
    return sum(COUNTER.unpack_from(view, IN_HAND_AT)[0] for view, alive in _views() if alive)


def total(name: str, seconds: int) -> int:
    """The sum of a series over the last `seconds` (at most 600), in all processes, also those that have ended."""
    return sum(totals_by_second(name, seconds).values())


def totals(names: Iterable[str], seconds: int) -> Counter[str]:
    """The sums of several series over the last `seconds`, in one pass over the boards."""
    now = int(time.time())
    first = now - min(seconds, SECONDS) + 1
    found: Counter[str] = Counter()
    wanted = list(names)
    for view, _ in _views():
        known = _names(view)
        for name in wanted:
            if name in known:
                found[name] += sum(value for _, value in _counts(view, known[name], first, now))
    return found


def totals_by_second(name: str, seconds: int) -> Counter[int]:
    """By Unix second; seconds without a count are left out."""
    now = int(time.time())
    first = now - min(seconds, SECONDS) + 1
    found: Counter[int] = Counter()
    for view, _ in _views():
        series = _names(view).get(name)
        if series is not None:
            for second, value in _counts(view, series, first, now):
                found[second] += value
    return found


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


def _views() -> Iterator[tuple[mmap.mmap, bool]]:
    """Each board's memory, and whether its writer lives. Boards that nobody needs any more are removed."""
    for path in directory().glob(f"*{SUFFIX}"):
        with _view(path) as found:
            if found is not None:
                yield found


@contextmanager
def _view(path: Path) -> Iterator[tuple[mmap.mmap, bool] | None]:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        alive = not _is_free(descriptor)
        if os.fstat(descriptor).st_size < SIZE:
            yield None
            return
        with mmap.mmap(descriptor, SIZE, access=mmap.ACCESS_READ) as view:
            if view[: len(MAGIC)] != MAGIC:
                yield None
            elif not alive and _is_stale(view):
                path.unlink(missing_ok=True)
                yield None
            else:
                yield view, alive
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock. It is asked for in share, so that two readers never take each other for it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_stale(view: mmap.mmap) -> bool:
    """Whether all counts are older than any window."""
    return bool(LAST_COUNT.unpack_from(view, LAST_COUNT_AT)[0] < time.time() - SECONDS)


def _names(view: mmap.mmap) -> dict[str, int]:
    """Which series the board has, by name."""
    raw = view[NAMES_AT : NAMES_AT + SERIES * NAME_SIZE]
    parts = (raw[at : at + NAME_SIZE].rstrip(b"\0").decode() for at in range(0, len(raw), NAME_SIZE))
    return {name: number for number, name in enumerate(parts) if name}


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
