"""One deadline for all that a block does, across the calls that it makes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_patience: ContextVar[float | None] = ContextVar("patience", default=None)
SHORTEST = 0.01
"""Seconds that a call gets even when its time is up: less could be mistaken for no limit at all."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What the block asks of PostgreSQL is answered within so many seconds, all together, or ends with an error. An
    earlier deadline of a surrounding block holds."""
    ends, outer = time.monotonic() + seconds, _deadline.get()
    token = _deadline.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def each_statement(seconds: float) -> Iterator[None]:
    """Statements of the block may take so many seconds each, in place of DB_OPERATION_TIMEOUT: for work on whole
    tables, which raises the server's statement_timeout likewise."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def time_left(most: float) -> float:
    """Seconds that the next call may take: `most` (or what `each_statement` gives), or less where the block's
    deadline is nearer."""
    ends, most = _deadline.get(), _patience.get() or most
    return most if ends is None else min(most, max(SHORTEST, ends - time.monotonic()))


def is_over() -> bool:
    """Whether the block's time is up."""
    ends = _deadline.get()
    return ends is not None and time.monotonic() >= ends
