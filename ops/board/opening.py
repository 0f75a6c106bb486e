"""The boards' files, opened once: opening and mapping all of them for each question costs more than its answer."""

import fcntl
import mmap
import os
import time
import weakref
from contextlib import suppress
from pathlib import Path

from ops.board.layout import (
    LAST_COUNT,
    LAST_COUNT_AT,
    MAGIC,
    NAME_SIZE,
    NAMES_AT,
    SECONDS,
    SERIES,
    SIZE,
    SUFFIX,
    directory,
)


class Opened:
    """One board: its memory as its writer changes it, and whether the writer lives. Safe to share between threads."""

    def __init__(self, descriptor: int) -> None:
        self.view = mmap.mmap(descriptor, SIZE, access=mmap.ACCESS_READ)
        self._descriptor = descriptor
        self._names: tuple[bytes, dict[str, int]] = b"", {}
        weakref.finalize(self, os.close, descriptor).atexit = False

    def is_alive(self) -> bool:
        """Whether its writer holds the lock. It is asked for in share, so that two readers never take each other for
        the writer, and given back at once."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return False

    @property
    def last_count(self) -> int:
        """The last second (Unix time) in which anything was counted."""
        return int(LAST_COUNT.unpack_from(self.view, LAST_COUNT_AT)[0])

    @property
    def names(self) -> dict[str, int]:
        """Which series the board has, by name; parsed again only when one was added."""
        raw = self.view[NAMES_AT : NAMES_AT + SERIES * NAME_SIZE]
        if raw != self._names[0]:
            parts = (raw[at : at + NAME_SIZE].rstrip(b"\0").decode() for at in range(0, len(raw), NAME_SIZE))
            self._names = raw, {name: number for number, name in enumerate(parts) if name}
        return self._names[1]


_opened: dict[str, Opened] = {}
"""By path; replaced as a whole, so that a thread that reads keeps what it has."""


def opened() -> list[tuple[Opened, bool]]:
    """Each board, and whether its writer lives. Boards that nobody needs any more are removed."""
    global _opened
    try:
        with os.scandir(directory()) as entries:
            paths = [entry.path for entry in entries if entry.name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # then `writing.unseen` says so
        return []
    known = _opened
    _opened = {path: board for path in paths if (board := known.get(path) or _open(path)) is not None}
    found = []
    for path, board in _opened.items():
        alive = board.is_alive()
        if alive or board.last_count >= time.time() - SECONDS:
            found.append((board, alive))
        else:
            with suppress(OSError):  # where nothing can be written, it stays
                Path(path).unlink()
    return found


def _open(path: str) -> Opened | None:
    """None for a file that is gone, or somebody else's, or that its writer has not finished yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return None
    if os.fstat(descriptor).st_size < SIZE:
        os.close(descriptor)
        return None
    board = Opened(descriptor)
    return board if board.view[: len(MAGIC)] == MAGIC else None


def _after_fork() -> None:
    global _opened
    _opened = {}


os.register_at_fork(after_in_child=_after_fork)
