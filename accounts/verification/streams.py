"""First pass, stream by stream: versions without holes, hash chains, heads, and what is folded from them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec.structs import asdict

from accounts.domain.account import Account as State
from accounts.domain.account import BrokenStream, evolve
from accounts.domain.events import Posting, PostingReversed
from accounts.domain.holds import Hold as HoldState
from accounts.models import Account, DailyBalance, Hold, Reversal
from accounts.projections.accounts import account_row, fold_hold
from accounts.projections.daily_balances import Days, add_posting
from accounts.verification.findings import Findings
from eventstore.errors import UnknownEventType
from eventstore.events import COLUMNS, StoredEvent
from eventstore.hashing import GENESIS
from eventstore.models import Stream

BATCH = 2000
Row = Mapping[str, Any]
DailyRows = dict[tuple[UUID, Any], Row]
NIL = UUID(int=0)
UNREADABLE = (UnknownEventType, TypeError, ValueError, KeyError)
"""What is raised by an event that this code did not write."""


class _Broken(Exception):
    """A stream that cannot be folded to its end."""


class StreamPass:
    """Walks all events in (stream, version) order, and each read model that is ordered by account beside them.

    `daily_applied(event)` tells whether the daily balances have come past an event.
    """

    def __init__(self, findings: Findings, daily_applied: Callable[[StoredEvent], bool]) -> None:
        self._found = findings
        self._daily_applied = daily_applied
        self.events = 0
        self.streams = 0
        self._reversals: dict[UUID, UUID] = {}

    def run(self, progress: Callable[[int], None]) -> None:
        seen: set[UUID] = set()
        for chunk in _whole_streams():
            ids = list(chunk)
            heads = {row["aggregate_id"]: row for row in Stream.objects.filter(aggregate_id__in=ids).values()}
            rows = {row["id"]: row for row in Account.objects.filter(id__in=ids).values()}
            daily = _daily_rows(ids)
            holds = {row["id"]: row for row in Hold.objects.filter(account_id__in=ids).values()}
            for aggregate_id, events in chunk.items():
                self._stream(aggregate_id, events, heads.get(aggregate_id), rows.get(aggregate_id), daily, holds)
                self.events += len(events)
                self.streams += 1
            for (account_id, day), _ in daily.items():
                self._found.add(
                    f"daily_balances: account {account_id} has a row for {day} that no event accounts for"
                )
            for hold_id in holds:
                self._found.add(f"holds: hold {hold_id} has no event")
            seen.update(ids)
            progress(self.events)
        self._strangers(seen)
        self._compare_reversals()

    def _stream(
        self,
        aggregate_id: UUID,
        events: list[StoredEvent],
        head: Row | None,
        row: Row | None,
        daily: DailyRows,
        hold_rows: dict[UUID, Any],
    ) -> None:
        try:
            state, days, holds = self._folded(aggregate_id, events)
        except _Broken as broken:
            self._found.add(str(broken))
            self._leave_out(aggregate_id, events, daily, hold_rows)
            return
        self._compare_head(aggregate_id, events[-1], head)
        self._compare_account(state, events, row)
        self._compare_days(days, daily)
        self._compare_holds(holds, hold_rows)

    def _folded(self, aggregate_id: UUID, events: list[StoredEvent]) -> tuple[State, Days, dict[UUID, HoldState]]:
        """What the events make of the account, its days and its holds.

        Raises:
            _Broken: a version is missing, a hash is wrong, or an event cannot be folded.
        """
        previous, state = GENESIS, None
        days: Days = {}
        holds: dict[UUID, HoldState] = {}
        for expected_version, stored in enumerate(events, start=1):
            if stored.version != expected_version:
                raise _Broken(f"stream {aggregate_id} has no version {expected_version}")
            if stored.hash_after(previous) != stored.hash:
                raise _Broken(f"stream {aggregate_id} version {stored.version}: its hash does not fit its content")
            previous = stored.hash
            try:
                state = evolve(state, aggregate_id, stored.event)
                fold_hold(holds, stored)
            except (BrokenStream, *UNREADABLE) as error:
                raise _Broken(f"stream {aggregate_id} version {stored.version} cannot be folded: {error}") from error
            if isinstance(stored.event, Posting) and self._daily_applied(stored):
                add_posting(days, stored)
            self._note_reversal(stored)
        assert state is not None
        return state, days, holds

    def _leave_out(
        self, aggregate_id: UUID, events: list[StoredEvent], daily: DailyRows, hold_rows: dict[UUID, Any]
    ) -> None:
        """Of a broken stream that alone is told: nothing is known of what its rows should be."""
        for key in [key for key in daily if key[0] == aggregate_id]:
            del daily[key]
        for hold_id in [hold_id for hold_id, row in hold_rows.items() if row["account_id"] == aggregate_id]:
            del hold_rows[hold_id]
        for stored in events:
            with suppress(*UNREADABLE):
                self._note_reversal(stored)

    def _note_reversal(self, stored: StoredEvent) -> None:
        if isinstance(stored.event, PostingReversed):
            self._reversals[stored.event.reverses] = stored.command_id

    def _compare_head(self, aggregate_id: UUID, last: StoredEvent, head: Row | None) -> None:
        expected = (last.version, last.hash, last.timestamp)
        actual = head and (head["version"], bytes(head["head_hash"]), head["last_timestamp"])
        if actual != expected:
            self._found.add(
                f"stream {aggregate_id} ends at version {last.version}, its head says "
                f"{head['version'] if head else 'nothing'} (version, hash or time differ)"
            )

    def _compare_account(self, state: State, events: list[StoredEvent], row: Row | None) -> None:
        expected = account_row(state, events[0], events[-1])
        if row is None:
            self._found.add(f"accounts: account {state.id} is missing")
            return
        for name, value in expected.items():
            if row[name] != value:
                self._found.add(f"accounts: account {state.id} has {name} {row[name]!r}; its events make {value!r}")

    def _compare_days(self, days: Days, daily: DailyRows) -> None:
        for (account_id, day), expected in days.items():
            row = daily.pop((account_id, day), None)
            actual = row and {name: row[name] for name in expected.__slots__}
            wanted = {name: getattr(expected, name) for name in expected.__slots__}
            if actual != wanted:
                self._found.add(
                    f"daily_balances: account {account_id} on {day} has {actual}; its events make {wanted}"
                )

    def _compare_holds(self, holds: dict[UUID, HoldState], rows: dict[UUID, Any]) -> None:
        for hold_id, hold in holds.items():
            row, expected = rows.pop(hold_id, None), asdict(hold)
            if row != expected:
                self._found.add(f"holds: hold {hold_id} has {row}; its events make {expected}")

    def _strangers(self, seen: set[UUID]) -> None:
        for model, key in ((Stream, "aggregate_id"), (Account, "id")):
            for value in model.objects.order_by(key).values_list(key, flat=True).iterator(chunk_size=BATCH):
                if value not in seen:
                    self._found.add(f"{model._meta.db_table}: {value} has no events")
        for of_account in (DailyBalance, Hold):
            ids = of_account._default_manager.order_by().values_list("account_id", flat=True)
            for account_id in ids.distinct().iterator():
                if account_id not in seen:
                    self._found.add(f"{of_account._meta.db_table}: account {account_id} has no events")

    def _compare_reversals(self) -> None:
        rows = dict(Reversal.objects.values_list("transaction_id", "reversed_by"))
        for transaction_id, reversed_by in self._reversals.items():
            if rows.pop(transaction_id, None) != reversed_by:
                self._found.add(
                    f"reversals: transaction {transaction_id} was reversed by {reversed_by}, which is not told"
                )
        for transaction_id in rows:
            self._found.add(f"reversals: transaction {transaction_id} is told to be reversed; no event says so")


def _daily_rows(ids: list[UUID]) -> DailyRows:
    return {(row["account_id"], row["day"]): row for row in DailyBalance.objects.filter(account_id__in=ids).values()}


def _whole_streams() -> Iterator[dict[UUID, list[StoredEvent]]]:
    """All events, in groups of whole streams of about `BATCH` events (a longer stream is a group of its own)."""
    chunk: dict[UUID, list[StoredEvent]] = {}
    size = 0
    for stored in _by_stream():
        if size >= BATCH and stored.aggregate_id not in chunk:
            yield chunk
            chunk, size = {}, 0
        chunk.setdefault(stored.aggregate_id, []).append(stored)
        size += 1
    if chunk:
        yield chunk


def _by_stream() -> Iterator[StoredEvent]:
    after: tuple[UUID, int] = (NIL, 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {COLUMNS} FROM events WHERE (aggregate_id, version) > (%s, %s)"
                " ORDER BY aggregate_id, version LIMIT %s",
                (*after, BATCH),
            )
            rows = cursor.fetchall()
        for row in rows:
            yield StoredEvent.from_row(row)
        if len(rows) < BATCH:
            return
        after = rows[-1][1], rows[-1][3]
