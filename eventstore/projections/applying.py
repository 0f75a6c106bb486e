"""Applying events to a read model, once each: the one place, whether they come from the feed or from Kafka.

Rows, dead letters and checkpoints move in one transaction. An event that a projection cannot take becomes a dead
letter, and the later events of its stream are parked behind it, so that no account is ever applied out of order;
all others flow on.
"""

import random
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection, transaction

from eventstore import feed, registry
from eventstore.errors import BrokenHistory, EventStoreError, UnknownEventType
from eventstore.events import StoredEvent
from eventstore.feed import Page, Ref
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Generation
from ops.conf import get_settings
from ops.operations import Operation, operation, step
from ops.timeouts import attempt, within

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""Tries of one event before it becomes a dead letter."""
FIRST_PAUSE = 0.02
"""Seconds before the second try; doubled for each further one, with jitter."""
LOOKED_THROUGH = 10_000
"""Most positions that are looked through for an event that a message says is not there."""
MAX_FAILURES_PER_BATCH = 20
"""More failing streams in one batch than this are no poison: the projection itself is broken, and stops."""

NEVER_POISON = (OperationalError, InterfaceError, ProgrammingError, UnknownEventType)
"""Not the event's fault (a lost connection, a missing table, an unknown type): the batch is tried again later."""


class ProjectionBroken(EventStoreError):
    """So many streams failed that the fault is the projection's own. Nothing of the batch was applied."""


class Gap(EventStoreError):
    """The batch does not connect to a checkpoint: events between them are missing. Nothing of it was applied."""

    def __init__(self, projection: str, shard: int, checkpoint: int, after: int) -> None:
        super().__init__(
            f"projection {projection} has come to {checkpoint} in shard {shard}, the batch begins after {after}"
        )
        self.shard = shard
        self.checkpoint = checkpoint
        self.after = after


@dataclass(frozen=True, slots=True)
class Span:
    """A batch's claim for one shard: it holds all of the shard's events with positions in (after, reached].

    `first`: the first of them, where only a message says that none lies between `after` and it: that is believed
    when `after` is where the checkpoint stands, and else compared with the books. 0 where the books said so.
    """

    after: int
    reached: int
    first: int = 0


def whole_feed(after: int, reached: int, shards: int) -> dict[int, Span]:
    """The claim of a reader of the feed itself: it has seen all shards."""
    return dict.fromkeys(range(shards), Span(after, reached))


def apply_events(projection: Projection[Any], page: Page, *, spans: Mapping[int, Span]) -> int:
    """Applies a page in one transaction, and moves the checkpoint of each shard in `spans` to what the
    batch has reached; returns how many events were new.

    Raises:
        Gap: a shard's checkpoint lies before the batch, or it is not certain that it does not; read from there.
        Paused, Outdated: it is not for this code to go on now; nothing was applied.
        UnknownEventType: the projection does not know a type; nothing was applied.
        ProjectionBroken: too much failed at once; nothing was applied.
    """
    limit = within(get_settings().batch_processing_timeout)
    with (
        _in_hand(projection, page),
        attempt("projection"),
        limit,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        step("locking")
        checkpoints.share(cursor, projection.name)
        generation = checkpoints.running(cursor, projection)
        positions = checkpoints.lock(cursor, generation, spans)
        for shard, span in spans.items():
            if positions[shard] < span.after:
                raise Gap(projection.name, shard, positions[shard], span.after)
        _compare_with_books(projection, positions, spans)
        fresh = [ref for ref in page.refs if ref.position > positions[ref.shard]]
        step("applying")
        apply_fresh(projection, generation, page, fresh, cursor)
        step("moving checkpoints")
        checkpoints.move(cursor, generation, {shard: span.reached for shard, span in spans.items()})
    return len(fresh)


def _compare_with_books(projection: Projection[Any], positions: Mapping[int, int], spans: Mapping[int, Span]) -> None:
    """Whether nothing lies between checkpoints and the first events of shards that do not connect: as a rule since a
    checkpoint has moved on without an event; else the message was not the relay's, or told of other books.

    Raises:
        Gap: there is something, or it is too far to look.
    """
    unsure = {shard: span.first for shard, span in spans.items() if span.after < positions[shard] < span.first - 1}
    if not unsure:
        return
    after, upto = min(positions[shard] for shard in unsure), max(unsure.values()) - 1
    refs, reached = feed.read_refs(after=after, upto=upto, limit=LOOKED_THROUGH, shards=get_settings().shard_count)
    ours = [ref for ref in refs if ref.shard in unsure]
    between = {ref.shard for ref in ours if positions[ref.shard] < ref.position < unsure[ref.shard]}
    for shard, first in unsure.items():
        if shard in between or reached < first - 1:
            raise Gap(projection.name, shard, positions[shard], first - 1)


def _in_hand(projection: Projection[Any], page: Page) -> AbstractContextManager[Operation]:
    """The batch as a registered operation; what it works on is told by its first and last position."""
    span = (f"positions {page.refs[0].position} to {page.refs[-1].position}",) if page.refs else ()
    timeout = get_settings().batch_processing_timeout
    return operation("batch", f"projection {projection.name}", timeout=timeout, resources=span, actor="system:feed")


def apply_fresh(
    projection: Projection[Any], generation: Generation, page: Page, fresh: Sequence[Ref], cursor: Any
) -> None:
    """Applies what of a page is known to be new, inside the caller's transaction; poison goes to the dead letters.

    Raises:
        BrokenHistory: the page names events that are not in the books.
    """
    if not fresh or projection.is_idle() or _apply_as_a_set(projection, generation, page, fresh, cursor):
        return
    events = feed.load(fresh)
    if len(events) != len(fresh):
        raise BrokenHistory(f"{len(fresh) - len(events)} of {len(fresh)} events are not in the books")
    poison = _Poison(projection, generation, cursor)
    poison.apply(poison.park(events))


def _apply_as_a_set(
    projection: Projection[Any], generation: Generation, page: Page, fresh: Sequence[Ref], cursor: Any
) -> bool:
    """One statement for all, where the projection has one and nothing stands in the way: an event of another schema
    than today's, a stream with a dead letter, or one that fails. False: nothing was done."""
    if not projection.set_based or not _is_plain(projection, page.types):
        return False
    if dead_letters.is_any_blocked(cursor, generation) and dead_letters.are_blocked(
        cursor, generation, feed.streams_of(fresh)
    ):
        return False
    return _executed(projection, feed.REFERRED, (feed.positions_of(fresh),), cursor)


def apply_range(
    projection: Projection[Any], generation: Generation, after: int, upto: int, cursor: Any
) -> int | None:
    """Applies all events with positions in (after, upto], none of which was applied, without reading one: by the
    projection's statement. How many they were; None where it cannot (see `_apply_as_a_set`), and nothing was done."""
    if not projection.set_based or dead_letters.is_any_blocked(cursor, generation):
        return None
    cursor.execute(
        f"SELECT event_type, schema_version, count(*) FROM {feed.RANGE} GROUP BY event_type, schema_version",
        (after, upto),
    )
    counts = {(event_type, version): count for event_type, version, count in cursor.fetchall()}
    if not _is_plain(projection, counts) or not _executed(projection, feed.RANGE, (after, upto), cursor):
        return None
    return sum(counts.values())


def _executed(projection: Projection[Any], events: str, parameters: tuple[Any, ...], cursor: Any) -> bool:
    """The projection's statement over a relation of events; False: it failed, and nothing was done."""
    source = f"(SELECT * FROM {events} WHERE event_type = ANY (%s)) AS handled"
    try:
        with transaction.atomic():
            cursor.execute(projection.set_based.format(fresh=source), (*parameters, list(projection.handles)))
    except NEVER_POISON:
        raise
    except DatabaseError as error:
        log.info("set_based_fold_failed", projection=projection.name, error=repr(error))
        return False
    return True


def _is_plain(projection: Projection[Any], types: Iterable[tuple[str | None, int | None]]) -> bool:
    known = projection.handles | projection.ignores
    today = registry.schema_versions()
    return all(
        event_type in known and today.get(event_type) == schema_version for event_type, schema_version in types
    )


class _Poison:
    """Finds the events of a batch that cannot be applied, by halving it where it fails."""

    def __init__(self, projection: Projection[Any], generation: Generation, cursor: Any) -> None:
        self._projection = projection
        self._generation = generation
        self._cursor = cursor
        self._failures = 0

    def park(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Puts events of blocked streams behind what blocks them; returns the others."""
        blocked = dead_letters.blocked_streams(
            self._cursor, self._generation, {event.aggregate_id for event in events}
        )
        dead_letters.park(
            self._cursor, self._generation, [event for event in events if event.aggregate_id in blocked]
        )
        return [event for event in events if event.aggregate_id not in blocked]

    def apply(self, events: Sequence[StoredEvent]) -> None:
        error = self._try(events) if events else None
        if error is None:
            return
        if len(events) > 1:
            middle = len(events) // 2
            self.apply(events[:middle])
            self.apply(self.park(events[middle:]) if self._failures else events[middle:])
            return
        self._bury(events[0], error)

    def _try(self, events: Sequence[StoredEvent]) -> Exception | None:
        try:
            with transaction.atomic():
                self._projection.apply(events, self._cursor)
        except NEVER_POISON:
            raise
        except Exception as error:
            return error
        return None

    def _bury(self, event: StoredEvent, error: Exception) -> None:
        attempts = 1
        while attempts < ATTEMPTS:
            time.sleep(FIRST_PAUSE * 2**attempts * (0.5 + random.random()))  # noqa: S311 - jitter
            attempts += 1
            again = self._try([event])
            if again is None:
                return
            error = again
        self._failures += 1
        if self._failures > MAX_FAILURES_PER_BATCH:
            raise ProjectionBroken(
                f"projection {self._projection.name}: {self._failures} streams of one batch failed, the last with "
                f"{error!r}"
            ) from error
        dead_letters.bury(self._cursor, self._generation, event, error, attempts)
        log.error(
            "event_dead_lettered",
            projection=self._projection.name,
            position=event.position,
            stream=str(event.aggregate_id),
            error="".join(traceback.format_exception_only(error)).strip(),
        )
