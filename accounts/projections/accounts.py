"""Making the executor's inline read model anew: the tables `accounts`, `reversals` and `holds`.

They are written with the events, so this is for repair, after something outside of bankes has changed them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model
from msgspec.structs import asdict

from accounts.domain.account import AGGREGATE_TYPE, evolve
from accounts.domain.account import Account as State
from accounts.domain.events import HOLD_EVENTS, PostingReversed, to_data
from accounts.domain.holds import Hold as HoldState
from accounts.domain.holds import evolve_hold
from accounts.models import Account, Hold, Reversal
from eventstore.appending import lock_heads
from eventstore.events import StoredEvent
from eventstore.models import Stream
from eventstore.projections import Orphans, Report, orphans
from eventstore.projections.base import Inline, Progress
from eventstore.store import read_stream

BATCH = 200
ORPHANS = (
    Orphans("accounts", "id", "NOT EXISTS (SELECT FROM streams s WHERE s.aggregate_id = t.id)"),
    Orphans(
        "reversals",
        "transaction_id",
        "NOT EXISTS (SELECT FROM events e WHERE e.command_id = t.reversed_by AND e.event_type = 'PostingReversed')",
    ),
    Orphans(
        "holds",
        "id",
        "NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = t.account_id AND e.version = t.version"
        " AND e.event_type = 'HoldPlaced' AND e.data ->> 'hold_id' = t.id::text)",
    ),
)
"""Rows that no stream accounts for."""


def account_row(state: State, first: StoredEvent, last: StoredEvent) -> dict[str, Any]:
    """The row of `accounts` that a fold means, given its first and last event."""
    return {**to_data(state), "id": state.id, "opened_at": first.timestamp, "updated_at": last.timestamp}


def fold_hold(holds: dict[UUID, HoldState], stored: StoredEvent) -> None:
    """Takes an event into the holds of its account, if it is about one.

    Raises:
        BrokenStream: it cannot happen to the hold as it is.
    """
    event = stored.event
    if isinstance(event, HOLD_EVENTS):
        holds[event.hold_id] = evolve_hold(
            holds.get(event.hold_id), stored.aggregate_id, stored.version, stored.timestamp, event
        )


class AccountsInline(Inline):
    """Folds every stream and mends the rows that differ, some accounts at a time."""

    name = "accounts"
    tables = ("accounts", "reversals", "holds")

    def rebuild(self, progress: Progress, *, dry_run: bool = False) -> Report:
        """As `Projection.rebuild`, in place: there is no moment at which a row is wrong that was right before. Each
        part is done by itself: where it ends with an error, what was mended stays."""
        total = Stream.objects.filter(aggregate_type=AGGREGATE_TYPE).count()
        events = done = repaired = 0
        for ids in _stream_ids():
            wrong, folded = _mend(ids, dry_run)
            repaired += wrong
            events += folded
            done += len(ids)
            progress(done, total)
        repaired += sum(orphans.remove_from(self, dry_run=dry_run).rows.values())
        return Report(events=events, rows=done, repaired=repaired, swapped=not dry_run)

    def replay(self, aggregate_id: UUID, *, dry_run: bool) -> int:
        """Folds one account from its first event and mends its rows; returns how many were wrong."""
        repaired, _ = _mend([aggregate_id], dry_run)
        return repaired

    def orphans(self) -> Sequence[Orphans]:
        return ORPHANS


def _stream_ids() -> Iterator[list[UUID]]:
    last = UUID(int=0)
    while True:
        streams = Stream.objects.filter(aggregate_type=AGGREGATE_TYPE, aggregate_id__gt=last).order_by("aggregate_id")
        ids = list(streams.values_list("aggregate_id", flat=True)[:BATCH])
        if not ids:
            return
        yield ids
        last = ids[-1]


def _mend(ids: Sequence[UUID], dry_run: bool) -> tuple[int, int]:
    """How many rows of these accounts were wrong, and how many events say so. Commands wait for the accounts' locks
    only while what came since the first reading is folded, and the rows are written; for a dry run, which reads
    events and rows as they were at one moment, they do not wait at all."""
    folds = [_Fold(account_id) for account_id in ids]
    if not dry_run:
        for fold in folds:
            fold.go_on()
    with transaction.atomic():
        if dry_run:
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        else:
            lock_heads(connection.connection, ids)
        for fold in folds:
            fold.go_on()
        repaired = _mend_rows(Account, (fold.row() for fold in folds), dry_run)
        repaired += _mend_reversals((pair for fold in folds for pair in fold.reversals), dry_run)
        repaired += _mend_rows(Hold, (asdict(hold) for fold in folds for hold in fold.holds.values()), dry_run)
    return repaired, sum(fold.version for fold in folds)


class _Fold:
    """What the events of an account make of its rows. `reversals`: (transaction, reversed by); `holds` by id."""

    def __init__(self, account_id: UUID) -> None:
        self._id = account_id
        self._state: State | None = None
        self._first: StoredEvent | None = None
        self._last: StoredEvent | None = None
        self.reversals: list[tuple[UUID, UUID]] = []
        self.holds: dict[UUID, HoldState] = {}

    @property
    def version(self) -> int:
        return self._last.version if self._last else 0

    def go_on(self) -> None:
        """Takes the events behind those that it has."""
        for stored in read_stream(self._id, after_version=self.version):
            self._state = evolve(self._state, self._id, stored.event)
            self._first, self._last = self._first or stored, stored
            if isinstance(stored.event, PostingReversed):
                self.reversals.append((stored.event.reverses, stored.command_id))
            fold_hold(self.holds, stored)

    def row(self) -> dict[str, Any]:
        assert self._state is not None
        assert self._first is not None
        assert self._last is not None
        return account_row(self._state, self._first, self._last)


def _mend_rows(model: type[Model], expected: Iterable[dict[str, Any]], dry_run: bool) -> int:
    """Writes the rows that are not as expected, but in a dry run; how many these are."""
    wanted = {row["id"]: row for row in expected}
    rows = model._default_manager
    found = {row["id"]: row for row in rows.filter(id__in=wanted).values()}
    wrong = [model(**row) for key, row in wanted.items() if found.get(key) != row]
    fields = [field.name for field in model._meta.fields if not field.primary_key]
    if not dry_run:
        rows.bulk_create(wrong, update_conflicts=True, unique_fields=["id"], update_fields=fields)
    return len(wrong)


def _mend_reversals(expected: Iterable[tuple[UUID, UUID]], dry_run: bool) -> int:
    wanted = dict(expected)
    found = dict(Reversal.objects.filter(transaction_id__in=wanted).values_list("transaction_id", "reversed_by"))
    wrong = [Reversal(transaction_id=of, reversed_by=by) for of, by in wanted.items() if found.get(of) != by]
    if not dry_run:
        Reversal.objects.bulk_create(
            wrong, update_conflicts=True, unique_fields=["transaction_id"], update_fields=["reversed_by"]
        )
    return len(wrong)
