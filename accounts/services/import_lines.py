"""The lines of a file that comes in pieces, with a digest over those that were taken."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_LINE = 64 * 1024
"""Bytes; a command is some hundred. More of a line than this, and one piece, is never held."""
START = bytes(32)
"""The digest of no lines."""


class Interrupted(Exception):
    """The file stops here, though this is not its end. The message is for whoever sends it."""


class Line(NamedTuple):
    """`number` counts from 1; `raw` is without the newline; `is_ended`: the newline was there."""

    number: int
    raw: bytes
    is_ended: bool


def lines_of(pieces: Iterable[bytes], *, after: int) -> Iterator[Line]:
    """The lines of `pieces`, which follow line `after` of the file.

    Raises:
        Interrupted: a line is longer than `MAX_LINE`; or whatever the pieces raise. All lines before were given.
    """
    number, rest = after, b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for raw in whole:
            number += 1
            _require_short(raw, number)
            yield Line(number, raw, is_ended=True)
        _require_short(rest, number + 1)
    if rest:
        yield Line(number + 1, rest, is_ended=False)


def _require_short(raw: bytes, number: int) -> None:
    if len(raw) > MAX_LINE:
        raise Interrupted(f"Line {number} is longer than {MAX_LINE} bytes.")


def extended(digest: bytes, raw: bytes) -> bytes:
    """The digest after one more line. A chain, so that it can be kept and gone on with at any line."""
    return hashlib.sha256(digest + raw).digest()
