"""A body that is read while it comes, by a thread of its own: the server's stream waits for silent senders for ever.

Granian hands a body over as it comes (200 MB in 64 KiB pieces cost two megabytes of memory) and shows a connection
that breaks as an end that comes too early.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO

from accounts.domain.errors import ErrorCode, Refusal
from accounts.services.imports import Interrupted

PIECE = 16 * 1024
"""Bytes that are waited for at once."""
AHEAD = 4
"""Pieces read before they are asked for."""
MAX_READERS = 16
"""Threads of a process, with those that still wait for senders that were given up."""
PASSED_OVER = 8 * 1024 * 1024
"""Bytes of a refused body that are taken all the same."""
PASSED_OVER_WITHIN = 5.0
"""Seconds, and the patience with one piece."""
_POLL = 0.5

_readers = threading.BoundedSemaphore(MAX_READERS)


def pieces_of(stream: IO[bytes], length: int, *, patience: float, time_limit: float) -> Iterator[bytes]:
    """The `length` bytes of `stream`. `patience`: seconds for one piece; `time_limit`: for all of them.

    Raises:
        Interrupted: fewer bytes came, or too slowly.
        Refusal: `overloaded`, too many readers wait for senders that are silent.
    """
    if not _readers.acquire(blocking=False):
        raise Refusal(ErrorCode.OVERLOADED, "Too many senders are silent. Nothing was done: send it again later.")
    upload = _Upload(stream, length)
    until = time.monotonic() + time_limit
    try:
        while piece := upload.next_piece(patience):
            yield piece
            if time.monotonic() > until:
                raise Interrupted(f"One request takes at most {time_limit:.0f} s.")
    finally:
        upload.given_up.set()


def pass_over(pieces: Iterable[bytes]) -> None:
    """Takes what still comes, within bounds: a sender that is cut off while it sends never sees the answer."""
    until = time.monotonic() + PASSED_OVER_WITHIN
    with suppress(Interrupted, Refusal):
        for _ in islice(pieces, PASSED_OVER // PIECE):
            if time.monotonic() > until:
                return


class _Upload:
    def __init__(self, stream: IO[bytes], length: int) -> None:
        self.given_up = threading.Event()
        self._stream = stream
        self._missing = length
        self._pieces: queue.Queue[bytes] = queue.Queue(AHEAD)
        threading.Thread(target=self._read, name="upload", daemon=True).start()

    def next_piece(self, patience: float) -> bytes:
        """Empty at the end."""
        try:
            piece = self._pieces.get(timeout=patience)
        except queue.Empty:
            raise Interrupted(f"Nothing came for {patience:.0f} s.") from None
        self._missing -= len(piece)
        if not piece and self._missing:
            raise Interrupted("The connection broke before the end of the body.")
        return piece

    def _read(self) -> None:
        try:
            piece = b"x"
            while piece and not self.given_up.is_set():
                piece = b""
                with suppress(OSError):  # the connection broke: no more comes
                    piece = self._stream.read(PIECE)
                self._put(piece)
        finally:
            _readers.release()

    def _put(self, piece: bytes) -> None:
        while not self.given_up.is_set():
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=_POLL)
                return
