"""Runs projections from the feed in PostgreSQL."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from eventstore import feed
from eventstore.errors import StoreBusy, UnknownEventType
from eventstore.feed import Page
from eventstore.projections import checkpoints
from eventstore.projections.applying import apply_events, whole_feed
from eventstore.projections.base import Projection
from eventstore.projections.checkpoints import Outdated, Paused
from eventstore.projections.rebuild import LONGEST_SILENCE, rebuild
from eventstore.projections.telling import Teller
from ops.conf import get_settings
from ops.service import seldom_heard

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 30.0
"""Seconds between two tries of a projection that keeps failing."""

BEGIN_AGAIN_IN = 30.0
"""Seconds between two tries to begin a projection that others were at work on."""
PAUSE_LOOK = 0.5
"""Seconds between two looks whether a pause is over."""
LONGEST_TRUST = 2.0
"""Seconds for which an idle runner trusts its memory of the checkpoints: someone may have wound them back."""


class _Stopped(Exception):
    """Told to end in the midst of a rebuild, which is thrown away; the next start begins it anew."""


class Runner:
    """Carries one projection along the feed, batch by batch."""

    def __init__(
        self, projection: Projection[Any], *, batch_size: int | None = None, stop: threading.Event | None = None
    ) -> None:
        """Makes the projection's checkpoints; tables that older code has filled are made anew first, unless `stop`
        is set meanwhile. `waits`: somebody else was at them, or has paused the projection; see `begin_later`."""
        self.projection = projection
        self.batch_size = batch_size or get_settings().projection_batch_size
        self.shards = feed.require_shard_count()
        self._reached = -1
        self._failures = 0
        self._not_before = 0.0
        self._teller = Teller(projection)
        self._look_again = 0.0
        self.waits = False
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                outdated = checkpoints.begin(cursor, projection, self.shards)
            if outdated:
                self._make_anew(stop or threading.Event())
        except (Paused, StoreBusy) as error:  # others go on; `step` tells of it
            self.waits = True
            log.warning("projection_waits", projection=projection.name, reason=str(error))

    def _make_anew(self, stop: threading.Event) -> None:
        """Takes as long as it takes: the service tells first that it is ready, and goes on to tell that it lives."""

        def told(done: int, total: int) -> None:
            if stop.is_set():
                raise _Stopped

        log.info("projection_outdated", projection=self.projection.name, version=self.projection.version)
        try:
            with seldom_heard(stop, LONGEST_SILENCE):
                rebuild(self.projection, told)
        except _Stopped:
            log.info("projection_rebuild_broken_off", projection=self.projection.name)

    def step(self) -> int:
        """Applies one batch; returns how many events it took from the feed: 0 when there is nothing to do now.

        Raises:
            Paused, Outdated: it is not for this code to go on now; nothing was applied.
            UnknownEventType: the projection does not know an event; nothing of the batch was applied.
            ProjectionBroken: too much failed at once; likewise.
        """
        mark = feed.mark()
        if mark <= self._reached and time.monotonic() < self._look_again:
            return 0
        after = self._behind()
        self._look_again = time.monotonic() + LONGEST_TRUST
        if after >= mark:
            self._reached = after
            return 0
        refs, reached = feed.read_refs(after=after, upto=mark, limit=self.batch_size, shards=self.shards)
        apply_events(self.projection, Page(refs), spans=whole_feed(after, reached, self.shards))
        self._reached = reached
        return len(refs)

    def _behind(self) -> int:
        """The checkpoint of the shard that is furthest behind."""
        with connection.cursor() as cursor:
            return min(checkpoints.read(cursor, checkpoints.active(cursor, self.projection.name)).values())

    def try_step(self) -> int:
        """As `step`, for a loop: a failure is recorded and tried again later, ever less often."""
        if time.monotonic() < self._not_before:
            return 0
        try:
            taken = self.step()
        except Paused as paused:
            self._teller.waits(paused)
            self._not_before = time.monotonic() + PAUSE_LOOK
            return 0
        except Exception as error:
            self._failures += 1
            self._not_before = time.monotonic() + min(LONGEST_PAUSE, 0.25 * 2**self._failures)
            connection.close()  # it may be broken; the pool gives a sound one
            self._teller.record(
                "paused" if isinstance(error, (UnknownEventType, Outdated)) else "failed", repr(error)
            )
            log.exception("projection_failed", projection=self.projection.name, failures=self._failures)
            return 0
        self._failures = 0
        self._teller.record("running")
        return taken


def catch_up(projections: Sequence[Projection[Any]]) -> int:
    """Brings projections to the end of the feed as it is now; returns how many events were taken in all.

    Raises:
        Paused, Outdated, UnknownEventType: as `Runner.step`. And what PostgreSQL raises.
    """
    total = 0
    for projection in projections:
        runner = Runner(projection)
        while taken := runner.step():
            total += taken
    return total


def begin_later(runners: Sequence[Runner], stop: threading.Event) -> None:
    """Those that wait are begun again by a thread, now and then until each has begun: who was at work on their tables
    may have died of it, and who has paused one resumes it. The loop goes on meanwhile: a rebuild may take hours.

    A rebuild that fails is left to the next start: it may take hours each time.
    """
    if waiting := [runner.projection for runner in runners if runner.waits]:
        threading.Thread(target=_begin_later, args=(waiting, stop), name="begin-later", daemon=True).start()


def _begin_later(waiting: Sequence[Projection[Any]], stop: threading.Event) -> None:
    while waiting and not stop.wait(BEGIN_AGAIN_IN):
        waiting = [projection for projection in waiting if not _begins(projection, stop)]
        connection.close()


def _begins(projection: Projection[Any], stop: threading.Event) -> bool:
    """False: it is to be tried again."""
    try:
        return not Runner(projection, stop=stop).waits
    except (OperationalError, InterfaceError) as error:
        log.warning("projection_waits", projection=projection.name, error=repr(error))
        return False
    except Exception as error:
        log.error("projection_left_to_the_next_start", projection=projection.name, exc_info=error)
        return True


def follow(projections: Sequence[Projection[Any]], stop: threading.Event) -> None:
    """Follows the feed until `stop` is set; a batch in hand is finished first."""
    pause = get_settings().projection_poll_ms / 1000
    runners = [Runner(projection, stop=stop) for projection in projections]
    begin_later(runners, stop)
    log.info("projections_follow", projections=[projection.name for projection in projections])
    while not stop.is_set():
        taken = sum(runner.try_step() for runner in runners if not stop.is_set())
        if not taken:
            stop.wait(pause)
