"""Fills the shared cache before it is asked: with the accounts used most, and with those that change."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from django.db import connection
from django.db.utils import Error as DatabaseError

from accounts.cache import accounts_cache, load_many, popularity
from accounts.domain.account import AGGREGATE_TYPE
from eventstore import feed
from eventstore.models import Event
from ops.conf import get_settings
from ops.operations import operation

log = structlog.get_logger(__name__)

FOLLOW_EVERY = 0.2
"""Seconds between two looks at the feed."""
FOLLOW_BATCH = 1000
"""Events taken from it at once."""
EVENTS_LOOKED_AT = 20
"""How many of the last events, for each account wanted, are searched for accounts that changed lately."""


@dataclass(frozen=True, slots=True)
class WarmReport:
    """What a warm-up did. `missing` were counted as used but do not exist; `failed` Redis did not take."""

    most_used: int
    recently_changed: int
    warmed: int
    missing: int
    failed: int
    seconds: float
    stopped: bool


@operation("job", "warm_cache", actor="system:cache")
def warm(
    limit: int,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: threading.Event | None = None,
) -> WarmReport:
    """Brings at most `limit` accounts to Redis, in batches of CACHE_WARMUP_BATCH_SIZE: one statement, one pipeline.

    The most used come first; where fewer have been counted, those that changed last fill up. Ends after the batch in
    hand when `stop` is set.
    """
    began = time.monotonic()
    popularity().flush()
    used = popularity().most_used(limit)
    changed = _recently_changed(limit - len(used), besides=set(used)) if len(used) < limit else []
    keys = [*used, *changed]
    warmed = missing = failed = done = 0
    for batch in _batches(keys):
        if stop is not None and stop.is_set():
            break
        documents = load_many(batch)
        taken = accounts_cache().store(documents)
        for key in set(batch) - documents.keys():
            popularity().forget(key)
        warmed, failed = warmed + taken, failed + len(documents) - taken
        missing += len(batch) - len(documents)
        done += len(batch)
        progress(done, len(keys))
    seconds = time.monotonic() - began
    return WarmReport(len(used), len(changed), warmed, missing, failed, seconds, stopped=done < len(keys))


class Follower:
    """Brings accounts to Redis as they change, from where the feed ended when it began.

    It keeps no checkpoint: what it misses while it is down costs a reader one lookup.
    """

    def __init__(self) -> None:
        self._reached = feed.mark()

    def step(self) -> int:
        """Takes one batch of the feed; returns how many events: 0 when there is nothing to do, or Redis fails."""
        mark = feed.mark()
        if mark <= self._reached:
            return 0
        events, reached = feed.read(after=self._reached, upto=mark, limit=FOLLOW_BATCH)
        keys = sorted({str(event.aggregate_id) for event in events if event.aggregate_type == AGGREGATE_TYPE})
        documents = load_many(keys)
        if accounts_cache().store(documents) < len(documents):
            return 0
        self._reached = reached
        return len(events)


def serve(
    limit: int, stop: threading.Event, *, report: Callable[[WarmReport], None], progress: Callable[[int, int], None]
) -> None:
    """Warms every CACHE_WARMUP_INTERVAL seconds and follows the feed in between, until `stop` is set.

    A database that fails is tried again at the next look.
    """
    interval = get_settings().cache_warmup_interval
    follower: Follower | None = None
    due = time.monotonic()
    while not stop.is_set():
        busy = 0
        try:
            follower = follower or Follower()
            if time.monotonic() >= due:
                report(warm(limit, progress=progress, stop=stop))
                popularity().fade()
                due = time.monotonic() + interval
            busy = follower.step()
        except DatabaseError as error:
            log.warning("cache_service_waits_for_database", error=repr(error))
            connection.close()  # it may be broken; the pool gives a sound one
            stop.wait(1)
        if not busy:
            stop.wait(FOLLOW_EVERY)


def _recently_changed(limit: int, *, besides: set[str]) -> list[str]:
    """Accounts of the last events, the latest first: found by the events' own order, however many accounts exist."""
    latest = Event.objects.filter(aggregate_type=AGGREGATE_TYPE).order_by("-position")
    ids = latest.values_list("aggregate_id", flat=True)[: limit * EVENTS_LOOKED_AT]
    keys = dict.fromkeys(map(str, ids))
    return [key for key in keys if key not in besides][:limit]


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    size = get_settings().cache_warmup_batch_size
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
