"""A process's own board."""

import fcntl
import mmap
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from ops import process
from ops.board.layout import (
    BUCKET,
    COUNTER,
    FACTS_AT,
    FACTS_SIZE,
    HEADER_AT,
    HEADER_SIZE,
    IN_HAND_AT,
    LAST_COUNT,
    LAST_COUNT_AT,
    MAGIC,
    NAME_SIZE,
    NAMES_AT,
    RECORD,
    SERIES,
    SIZE,
    SLOT_SIZE,
    SLOTS,
    SUFFIX,
    bucket_at,
    directory,
    slot_at,
)

log = structlog.get_logger(__name__)

TRY_AGAIN_AFTER = 60.0
"""Seconds, where BOARD_DIR could not be written."""


class Slot:
    """One operation's place on the board; None for `number` where the board is full and nothing is shown."""

    __slots__ = ("_board", "number")

    def __init__(self, board: "Board", number: int | None) -> None:
        self._board = board
        self.number = number

    def write(self, document: Mapping[str, Any]) -> None:
        if self.number is not None:
            self._board.write(slot_at(self.number), SLOT_SIZE, document)

    def free(self) -> None:
        self._board.free(self)


class Board:
    """The file of this process, or (`folder` None) memory that nobody else sees; `unseen` says why. Safe to share
    between threads."""

    def __init__(self, folder: Path | None, unseen: str = "") -> None:
        self.unseen = unseen
        self.tried_at = time.monotonic()
        self._descriptor = -1 if folder is None else _make_file(folder)
        self._map = mmap.mmap(self._descriptor, SIZE)
        self._lock = threading.Lock()
        self._free = list(range(SLOTS - 1, -1, -1))
        self._in_hand = 0
        self._series: dict[str, int] = {}
        header = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "command": process.command(),
            "role": process.role(),
            "started": time.time(),
        }
        self.write(HEADER_AT, HEADER_SIZE, header)
        self._map[: len(MAGIC)] = MAGIC  # last: without it a reader passes the file over

    def write(self, at: int, size: int, document: Mapping[str, Any]) -> None:
        """Replaces a record; what does not fit is left empty rather than cut."""
        body = orjson.dumps(document)
        if len(body) > size - RECORD.size:
            body = b"{}"
        sequence, _ = RECORD.unpack_from(self._map, at)
        RECORD.pack_into(self._map, at, (sequence + 1) & 0xFFFFFFFF, 0)
        start = at + RECORD.size
        self._map[start : start + len(body)] = body
        RECORD.pack_into(self._map, at, (sequence + 2) & 0xFFFFFFFF, len(body))

    def take(self) -> Slot:
        with self._lock:
            number = self._free.pop() if self._free else None
            self._count_in_hand(1)
        return Slot(self, number)

    def free(self, slot: Slot) -> None:
        with self._lock:
            if slot.number is not None:
                at = slot_at(slot.number)
                sequence, _ = RECORD.unpack_from(self._map, at)
                RECORD.pack_into(self._map, at, (sequence + 2) & 0xFFFFFFFF, 0)
                self._free.append(slot.number)
            self._count_in_hand(-1)

    def _count_in_hand(self, change: int) -> None:
        self._in_hand += change
        COUNTER.pack_into(self._map, IN_HAND_AT, self._in_hand)

    @property
    def in_hand(self) -> int:
        return self._in_hand

    def publish(self, facts: Mapping[str, Any]) -> None:
        with self._lock:
            self.write(FACTS_AT, FACTS_SIZE, facts)

    def count(self, name: str, amount: int) -> None:
        second = int(time.time())
        with self._lock:
            series = self._series.get(name)
            if series is None:
                series = self._begin_series(name)
            at = bucket_at(series, second)
            stamp, value = BUCKET.unpack_from(self._map, at)
            BUCKET.pack_into(self._map, at, second, value + amount if stamp == second else amount)
            LAST_COUNT.pack_into(self._map, LAST_COUNT_AT, second)

    def _begin_series(self, name: str) -> int:
        series = len(self._series)
        encoded = name.encode()
        if series >= SERIES or len(encoded) >= NAME_SIZE:
            raise ValueError(f"series {name!r}: a board holds {SERIES} series with names below {NAME_SIZE} bytes")
        at = NAMES_AT + series * NAME_SIZE
        self._map[at : at + len(encoded)] = encoded
        self._series[name] = series
        return series

    def forget(self) -> None:
        """In a forked child: the file, and the lock on it, are the parent's."""
        self._map.close()
        if self._descriptor != -1:
            os.close(self._descriptor)


def _make_file(folder: Path) -> int:
    """A new board's file, locked, with all its space: to write where the disk is full would kill the process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.posix_fallocate(descriptor, 0, SIZE)
    except OSError:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


_board: Board | None = None
_begin = threading.Lock()


def own() -> Board:
    """This process's board, begun at its first use.

    Where BOARD_DIR cannot be written the process goes on unseen, and says so: payments do not stop for it.
    """
    global _board
    if _board is None:
        with _begin:
            if _board is None:
                _board = _new_board()
    return _board


def _new_board() -> Board:
    try:
        return Board(directory())
    except OSError as error:
        log.error("board_unavailable", board_dir=str(directory()), error=str(error))
        return Board(None, unseen=error.strerror or str(error))


def _try_again() -> None:
    """Where that succeeds, what is in hand stays where nobody sees it until it ends."""
    global _board
    with _begin:
        if _board is None or not _board.unseen or time.monotonic() - _board.tried_at < TRY_AGAIN_AFTER:
            return
        tried = _new_board()
        _board.tried_at = tried.tried_at
        if not tried.unseen:
            _board = tried


def _after_fork() -> None:
    global _board, _begin
    _begin = threading.Lock()
    if _board is not None:
        _board.forget()
        _board = None


os.register_at_fork(after_in_child=_after_fork)


def take_slot() -> Slot:
    """A place for one operation; give it back with `free()`."""
    return own().take()


def own_in_hand() -> int:
    """Operations in hand in this process."""
    return own().in_hand


def unseen() -> str:
    """Why the other processes do not see this one, and `reading` does not either; "" where they do."""
    return own().unseen


def publish(facts: Mapping[str, Any]) -> None:
    """Replaces what this process says of itself (pool, caches, breakers): JSON-ready, at most 32 KiB. Called every
    second, so it is here that an unseen process tries to be seen again."""
    _try_again()
    own().publish(facts)


def count(name: str, amount: int = 1) -> None:
    """Adds to this second of a series. Names are few and fixed: at most 64 a process.

    Raises:
        ValueError: too many series.
    """
    own().count(name, amount)
