"""A body that is taken while it comes. The web server sees to it that no piece is waited for too long."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO

from accounts.domain.errors import Refusal
from accounts.services.imports import Interrupted

PIECE = 16 * 1024
"""Bytes that are asked for at once."""
PASSED_OVER = 8 * 1024 * 1024
"""Bytes of a refused body that are taken all the same."""
PASSED_OVER_WITHIN = 5.0
"""Seconds."""


def pieces_of(stream: IO[bytes], length: int, *, time_limit: float) -> Iterator[bytes]:
    """The `length` bytes of `stream`, within `time_limit` seconds.

    Raises:
        Interrupted: fewer bytes came, or too slowly.
    """
    until, missing = time.monotonic() + time_limit, length
    while missing:
        try:
            piece = stream.read(min(PIECE, missing))
        except OSError as error:  # Django's own, around what the web server says
            raise Interrupted(str(error.__cause__ or error)) from None
        if not piece:
            raise Interrupted("The connection broke before the end of the body.")
        missing -= len(piece)
        yield piece
        if missing and time.monotonic() > until:
            raise Interrupted(f"One request takes at most {time_limit:.0f} s.")


def pass_over(pieces: Iterable[bytes]) -> None:
    """Takes what still comes, within bounds: a sender that is cut off while it sends never sees the answer."""
    until = time.monotonic() + PASSED_OVER_WITHIN
    with suppress(Interrupted, Refusal):
        for _ in islice(pieces, PASSED_OVER // PIECE):
            if time.monotonic() > until:
                return
