"""Takes a snapshot of a stream every SNAPSHOT_EVERY events, behind the feed, off the way of a command."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventstore import snapshots
from eventstore.events import StoredEvent
from eventstore.projections.base import Orphans, Projection
from eventstore.registry import known_event_types
from eventstore.store import load
from ops.conf import get_settings

Due = dict[UUID, StoredEvent]


class Snapshots(Projection[Due]):
    """Snapshots are a cache: any event type will do, and a rebuild just takes them again. Of those that a batch makes
    due of a stream the last is taken, and old ones are pruned: two fillings need not have the same."""

    name = "snapshots"
    tables = ("snapshots",)
    surrogates = ("taken_at",)
    matched_by = ("aggregate_id", "state_schema", "version")
    ignores = frozenset()

    def __init__(self) -> None:
        self.every = get_settings().snapshot_every

    @property
    def handles(self) -> frozenset[str]:  # type: ignore[override]
        return known_event_types()

    def orphans(self) -> Sequence[Orphans]:
        events = "SELECT FROM events e WHERE e.aggregate_id = t.aggregate_id AND e.version = t.version"
        return (Orphans("snapshots", "aggregate_id", f"NOT EXISTS ({events})"),)

    def new_batch(self) -> Due:
        return {}

    def gather(self, stored: StoredEvent, batch: Due) -> None:
        if stored.version % self.every == 0:
            batch[stored.aggregate_id] = stored

    def write(self, batch: Due, cursor: Any) -> None:
        for aggregate_id, stored in batch.items():
            state = load(aggregate_id, upto_version=stored.version).state
            snapshot = snapshots.Snapshot(aggregate_id, stored.version, stored.position, state)
            snapshots.save(stored.aggregate_type, snapshot)
