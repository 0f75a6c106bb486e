"""Seals: what the books were at a moment, to be kept where nobody who can change the books can change them too.

The hash chain finds an event that was altered. Somebody who can rewrite the whole database, hashes and heads
included, leaves chains that hold; and where the last events are taken away with their heads, a chain is merely
shorter. What was sealed before and is kept elsewhere tells of both.

A seal covers the events behind the seal before it, up to its own position, in the order of the feed:

digest = SHA-256 over
    digest of the seal before (32 zero bytes for the first)
    | for each event its position (8 bytes, big-endian) and its hash (32)

So it also holds the order of events of different accounts, which their own chains do not know. It is made up to the
feed's mark, below which nothing appears any more, and reads what is new, and the events of the last seal once more.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from django.db import connection
from django.utils import timezone
from msgspec import Meta, Struct

from eventstore import feed
from eventstore.errors import BrokenHistory
from eventstore.hashing import GENESIS

POSITIONS = 10_000
"""Of the feed, read at once."""

Progress = Callable[[int], None]
"""Told how many events have been read so far."""


class Seal(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a file of seals, as JSON. `events`: how many it covers."""

    position: Annotated[int, Meta(ge=1)]
    events: Annotated[int, Meta(ge=1)]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    sealed_at: Annotated[datetime, Meta(tz=True)]

    def line(self) -> str:
        return msgspec.json.encode(self).decode() + "\n"


def read(lines: Iterable[str]) -> list[Seal]:
    """
    Raises:
        ValueError: a line is no seal, or does not lie behind the one before it; the message names it.
    """
    seals: list[Seal] = []
    for number, line in enumerate(lines, start=1):
        try:
            seal = msgspec.json.decode(line, type=Seal)
        except msgspec.DecodeError as error:
            raise ValueError(f"line {number} is not a seal: {error}") from error
        if seals and seal.position <= seals[-1].position:
            raise ValueError(f"line {number} does not lie behind the line before it: lines are missing or exchanged")
        seals.append(seal)
    return seals


def make(known: Sequence[Seal], progress: Progress = lambda done: None) -> Seal | None:
    """The seal of what came after those that are known; None where nothing did. It is not kept here: the caller does
    that. What the last one covers is read again first: a restored backup may have grown past it since.

    Raises:
        BrokenHistory: the books end before the last seal, or are not what it sealed.
    """
    *_, before, last = None, None, *known
    mark, checked = feed.mark(), 0
    if last is not None:
        if mark < last.position:
            raise BrokenHistory(
                f"the last seal is of position {last.position}, but the books end at {mark}: events are missing"
            )
        checked, found = _compared(before, last, progress)
        if found:
            raise BrokenHistory(found)
    position, events, digest = _covered(last, mark, lambda done: progress(checked + done))
    return Seal(position, events, digest, timezone.now()) if events else None


def differences(seals: Sequence[Seal], progress: Progress = lambda done: None) -> Iterator[tuple[Seal, str]]:
    """The seals that are not of the books as they are, and how, in words: each is held against the events that it
    covers."""
    before, done = None, 0

    def further(read: int) -> None:
        progress(done + read)

    for seal in seals:
        events, found = _compared(before, seal, further)
        if found:
            yield seal, found
        before, done = seal, done + events


def _compared(before: Seal | None, seal: Seal, progress: Progress) -> tuple[int, str]:
    """How many events there are where a seal was made behind another, and how they differ from what it covered: in
    words, "" where they do not."""
    covered = _covered(before, seal.position, progress)
    if covered == (seal.position, seal.events, seal.digest):
        return seal.events, ""
    return covered[1], (
        f"the events of positions {(before.position if before else 0) + 1} to {seal.position} are not those that "
        f"were sealed at {seal.sealed_at.isoformat()}: {seal.events} then, {covered[1]} now"
    )


def _covered(last: Seal | None, upto: int, progress: Progress) -> tuple[int, int, str]:
    """Of the events behind the last seal up to a position: the last one's position (0: there are none), how many, and
    their digest."""
    hasher = hashlib.sha256(bytes.fromhex(last.digest) if last else GENESIS)
    after, position, events = last.position if last else 0, 0, 0
    with connection.cursor() as cursor:
        while after < upto:
            reached = min(upto, after + POSITIONS)
            cursor.execute(
                "SELECT count(*), max(position), string_agg(int8send(position) || hash, '' ORDER BY position)"
                "  FROM events WHERE position > %s AND position <= %s",
                (after, reached),
            )
            some, highest, content = cursor.fetchone()
            if some:
                hasher.update(content)
                position, events, after = highest, events + some, reached
                progress(events)
            else:  # positions that rolled back appends have drawn
                after = (feed.first_after(reached, upto) or upto + 1) - 1
    return position, events, hasher.hexdigest()
