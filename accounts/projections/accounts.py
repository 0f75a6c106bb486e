"""Making the executor's inline read model anew: the tables `accounts` and `reversals`.

They are written with the events, so this is for repair, after something outside of bankes has changed them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.domain.account import AGGREGATE_TYPE, evolve
from accounts.domain.account import Account as State
from accounts.domain.events import PostingReversed, to_data
from accounts.models import Account, Reversal
from eventstore.appending import lock_heads
from eventstore.events import StoredEvent
from eventstore.models import Stream
from eventstore.projections import Orphans, Report
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
)
"""Rows that no stream accounts for."""


def account_row(state: State, first: StoredEvent, last: StoredEvent) -> dict[str, Any]:
    """The row of `accounts` that a fold means, given its first and last event."""
    return {**to_data(state), "id": state.id, "opened_at": first.timestamp, "updated_at": last.timestamp}


class AccountsInline(Inline):
    """Folds every stream under its lock and mends the rows that differ, some accounts at a time."""

    name = "accounts"
    tables = ("accounts", "reversals")

    def rebuild(self, progress: Progress, *, dry_run: bool = False) -> Report:
        """As `Projection.rebuild`, in place: there is no moment at which a row is wrong that was right before."""
        total = Stream.objects.filter(aggregate_type=AGGREGATE_TYPE).count()
        events = done = repaired = 0
        for ids in _stream_ids():
            with transaction.atomic():
                lock_heads(connection.connection, ids)
                folded = [_fold(account_id) for account_id in ids]
                repaired += _mend_accounts(row for row, _, _ in folded)
                repaired += _mend_reversals(pair for _, pairs, _ in folded for pair in pairs)
                transaction.set_rollback(dry_run)
            events += sum(count for _, _, count in folded)
            done += len(ids)
            progress(done, total)
        with transaction.atomic():
            repaired += _remove_strangers()
            transaction.set_rollback(dry_run)
        return Report(events=events, rows=done, repaired=repaired, swapped=not dry_run)

    def replay(self, aggregate_id: UUID, *, dry_run: bool) -> int:
        """Folds one account from its first event and mends its rows; returns how many were wrong."""
        with transaction.atomic():
            lock_heads(connection.connection, [aggregate_id])
            row, reversals, _ = _fold(aggregate_id)
            repaired = _mend_accounts([row]) + _mend_reversals(reversals)
            transaction.set_rollback(dry_run)
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


def _fold(account_id: UUID) -> tuple[dict[str, Any], list[tuple[UUID, UUID]], int]:
    """The account's row, its (transaction, reversed by) pairs and how many events it has."""
    state, first, last, pairs = None, None, None, []
    for stored in read_stream(account_id):
        state = evolve(state, account_id, stored.event)
        first, last = first or stored, stored
        if isinstance(stored.event, PostingReversed):
            pairs.append((stored.event.reverses, stored.command_id))
    assert state is not None
    assert first is not None
    assert last is not None
    return account_row(state, first, last), pairs, state.version


def _mend_accounts(expected: Iterable[dict[str, Any]]) -> int:
    wanted = {row["id"]: row for row in expected}
    found = {row["id"]: row for row in Account.objects.filter(id__in=wanted).values()}
    wrong = [Account(**row) for account_id, row in wanted.items() if found.get(account_id) != row]
    fields = [field.name for field in Account._meta.fields if not field.primary_key]
    Account.objects.bulk_create(wrong, update_conflicts=True, unique_fields=["id"], update_fields=fields)
    return len(wrong)


def _mend_reversals(expected: Iterable[tuple[UUID, UUID]]) -> int:
    wanted = dict(expected)
    found = dict(Reversal.objects.filter(transaction_id__in=wanted).values_list("transaction_id", "reversed_by"))
    wrong = [Reversal(transaction_id=of, reversed_by=by) for of, by in wanted.items() if found.get(of) != by]
    Reversal.objects.bulk_create(
        wrong, update_conflicts=True, unique_fields=["transaction_id"], update_fields=["reversed_by"]
    )
    return len(wrong)


def _remove_strangers() -> int:
    removed = 0
    with connection.cursor() as cursor:
        for orphans in ORPHANS:
            cursor.execute(f"DELETE FROM {orphans.table} t WHERE {orphans.where}")
            removed += cursor.rowcount
    return removed
