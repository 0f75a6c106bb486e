"""Keeps one read model up with the messages of the shards that a consumer has; what they lack comes from the feed."""

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection

from eventstore import feed
from eventstore.errors import UnknownEventType
from eventstore.feed import Page
from eventstore.kafka import lease
from eventstore.kafka.batches import Batch
from eventstore.projections import checkpoints
from eventstore.projections.applying import Gap, Span, apply_events
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Outdated, Paused
from eventstore.projections.telling import Teller
from ops.conf import get_settings

log = structlog.get_logger(__name__)

PAUSE_LOOK = 0.5
"""Seconds between two looks whether a pause is over."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries of a projection that keeps failing."""
FIRST_RETRY, LONGEST_RETRY = 0.1, 5.0
"""Seconds between two tries of a batch while the database does not answer."""


class Interrupted(Exception):
    """Told to stop, or out of time, in the midst of filling a hole; the next batch goes on from there."""


class Follower:
    """Applies batches to one projection.

    A projection that fails is left out for a while and later takes from the feed what it missed, so that it never
    holds up the others, nor the offsets. `patience`: seconds that one batch may take before the consumer would be
    thought dead.
    """

    def __init__(self, projection: Projection[Any], shards: int, stop: threading.Event) -> None:
        config = get_settings()
        self.projection = projection
        self._shards = shards
        self._stop = stop
        self._patience = config.kafka_consumer_max_poll_interval_ms / 1000 / 3
        self._topic = config.kafka_topic
        self._seen: dict[int, int] = {}
        self._fill_size = config.projection_batch_size
        self._failures = 0
        self._not_before = 0.0
        self._teller = Teller(projection)

    def take(self, batch: Batch, owned: Collection[int]) -> bool:
        """Applies a batch, and before it whatever is missing of the owned shards; False when it could not."""
        return self._guard(lambda deadline: self._apply(batch, owned, deadline))

    def settle(self, owned: Collection[int], *, quiet: bool) -> bool:
        """Looks at shards of which no message comes: brings those that lack what was relayed up from the feed, and
        moves those that lack nothing to where the relay is. False when it could not.

        While it is not `quiet`, messages on their way look like missing ones: a shard is then brought up only when
        it has not moved since the last look.
        """
        return self._guard(lambda deadline: self._settle(owned, quiet, deadline))

    def positions(self) -> dict[int, int]:
        """Checkpoints by shard."""
        with connection.cursor() as cursor:
            return checkpoints.read(cursor, checkpoints.active(cursor, self.projection.name))

    def _apply(self, batch: Batch, owned: Collection[int], deadline: float) -> None:
        try:
            self._write(batch.page, batch.spans)
        except Gap as gap:
            log.info("projection_fills_gap", projection=self.projection.name, reason=str(gap))
            self._fill(self._behind(owned, batch), max(span.first for span in batch.spans.values()) - 1, deadline)
            self._write(batch.page, batch.spans)

    def _behind(self, owned: Collection[int], batch: Batch) -> set[int]:
        """The shards with a hole before the batch, and all others of ours that lack something too."""
        relay, positions = lease.state(self._topic), self.positions()
        wanted = {shard: relay.shard_positions[shard] for shard in owned} if relay else {}
        wanted |= {shard: span.first - 1 for shard, span in batch.spans.items()}
        return {shard for shard, position in wanted.items() if positions.get(shard, 0) < position}

    def _settle(self, owned: Collection[int], quiet: bool, deadline: float) -> None:
        relay = lease.state(self._topic)
        if relay is None:
            return
        positions = self.positions()
        behind = {shard for shard in owned if positions.get(shard, 0) < relay.shard_positions[shard]}
        missing = behind if quiet else {shard for shard in behind if self._seen.get(shard) == positions.get(shard)}
        self._seen = {shard: positions.get(shard, 0) for shard in behind}
        if missing:
            self._fill(missing, max(relay.shard_positions[shard] for shard in missing), deadline)
        self._write(
            Page([]),
            {
                shard: Span(relay.shard_positions[shard], relay.position)
                for shard in set(owned) - behind
                if positions.get(shard, 0) < relay.position
            },
        )

    def _write(self, page: Page, spans: Mapping[int, Span]) -> None:
        if spans:
            apply_events(self.projection, page, spans=spans)

    def _fill(self, shards: Collection[int], upto: int, deadline: float) -> None:
        """Applies the events of some shards from the feed; `upto` was relayed, hence is safe to read."""
        while shards:
            positions = self.positions()
            after = min(positions.get(shard, 0) for shard in shards)
            if after >= upto:
                return
            if self._stop.is_set() or time.monotonic() > deadline:
                raise Interrupted
            refs, reached = feed.read_refs(after=after, upto=upto, limit=self._fill_size, shards=self._shards)
            mine = [ref for ref in refs if ref.shard in shards]
            self._write(Page(mine), dict.fromkeys(shards, Span(after, reached)))

    def _guard(self, work: Callable[[float], None]) -> bool:
        """Runs `work(deadline)`; waits out a database that does not answer; records any other failure."""
        if time.monotonic() < self._not_before:
            return False
        deadline = time.monotonic() + self._patience
        pause = FIRST_RETRY
        while True:
            try:
                work(deadline)
            except Interrupted:
                return False
            except Paused as paused:  # what it misses meanwhile it takes from the feed
                self._teller.waits(paused)
                self._not_before = time.monotonic() + PAUSE_LOOK
                return False
            except (OperationalError, InterfaceError) as error:
                connection.close()  # it may be broken; the pool gives a sound one
                log.warning("projection_waits", projection=self.projection.name, error=repr(error))
                if time.monotonic() > deadline or self._stop.wait(pause * (0.5 + random.random())):  # noqa: S311
                    self._fail("failed", error)
                    return False
                pause = min(LONGEST_RETRY, pause * 2)
            except Exception as error:
                self._fail("paused" if isinstance(error, (UnknownEventType, Outdated)) else "failed", error)
                return False
            else:
                self._failures, self._not_before = 0, 0.0
                self._teller.record("running")
                return True

    def _fail(self, state: str, error: Exception) -> None:
        self._failures += 1
        self._not_before = time.monotonic() + min(LONGEST_PAUSE, 0.25 * 2.0**self._failures)
        connection.close()
        self._teller.record(state, repr(error))
        log.error("projection_failed", projection=self.projection.name, failures=self._failures, exc_info=error)
