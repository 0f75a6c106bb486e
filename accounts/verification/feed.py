"""Second pass, in feed order: the read models that hold a row a posting, the balance of each transaction, and
interest that was booked."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from accounts.domain.events import POSTING_TYPES
from accounts.projections.ledger_days import Movements, add_line
from accounts.projections.rows import JournalRow, TransactionRow, journal_rows, transaction_rows
from accounts.verification import interest
from accounts.verification.findings import Findings
from eventstore.errors import UnknownEventType
from eventstore.events import COLUMNS, StoredEvent

BATCH = 5000
Applied = Callable[[StoredEvent], bool]


class LedgerDayRow(NamedTuple):
    """Of `ledger_days`."""

    credits: int
    debits: int
    lines: int


class FeedPass:
    """Compares `transactions` and `journal_lines` row by row with what the events mean, and their sums by day.

    The predicates tell whether each read model has come past an event.
    """

    def __init__(
        self, findings: Findings, transactions_applied: Applied, journal_applied: Applied, ledger_applied: Applied
    ) -> None:
        self._found = findings
        self._transactions_applied = transactions_applied
        self._journal_applied = journal_applied
        self._ledger_applied = ledger_applied
        self._days: Movements = {}
        self._open: defaultdict[tuple[UUID, str], int] = defaultdict(int)
        self.position = 0

    def run(self, progress: Callable[[int], None]) -> None:
        done = 0
        for events in self._batches():
            low, high = events[0].position, events[-1].position
            self._compare(
                "transactions",
                {row.position: row for row in self._transaction_rows(events)},
                _rows("transactions", "position", TransactionRow, self.position + 1, high),
            )
            self._compare(
                "journal_lines",
                {row.id: row for row in self._journal_rows(events)},
                _rows("journal_lines", "id", JournalRow, 2 * self.position + 2, 2 * high + 1),
            )
            self._add(interest.differences_of(events))
            assert low > self.position
            self.position = high
            done += len(events)
            progress(done)
        self._rest("transactions", "position", self.position)
        self._rest("journal_lines", "id", 2 * self.position + 1)
        days = {_named(*key): LedgerDayRow(day.credits, day.debits, day.lines) for key, day in self._days.items()}
        self._compare("ledger_days", days, _ledger_days())
        self._add(interest.without_event())
        for (transaction_id, currency), total in self._open.items():
            self._found.add(f"transaction {transaction_id} does not sum to zero: {total} minor units of {currency}")

    def _transaction_rows(self, events: list[StoredEvent]) -> Iterator[TransactionRow]:
        return (row for stored in events if self._transactions_applied(stored) for row in transaction_rows(stored))

    def _journal_rows(self, events: list[StoredEvent]) -> Iterator[JournalRow]:
        """The lines of all events are summed, also of those that the journal has yet to reach; and by day, for the
        sums that the ledger has reached."""
        for stored in events:
            for row in journal_rows(stored):
                key = row.transaction_id, row.currency
                self._open[key] += row.amount
                if not self._open[key]:
                    del self._open[key]
                if self._ledger_applied(stored):
                    add_line(self._days, row)
                if self._journal_applied(stored):
                    yield row

    def _compare(self, table: str, expected: dict[Any, Any], actual: dict[Any, Any]) -> None:
        if expected == actual:
            return
        for key in sorted(expected.keys() | actual.keys()):
            if expected.get(key) != actual.get(key):
                self._found.add(f"{table}: row {key} {_difference(actual.get(key), expected.get(key))}")

    def _add(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._found.add(sentence)

    def _rest(self, table: str, key: str, last: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {key} FROM {table} WHERE {key} > %s ORDER BY 1 LIMIT 100", (last,))
            for (value,) in cursor.fetchall():
                self._found.add(f"{table}: row {value} has no event")

    def _batches(self) -> Iterator[list[StoredEvent]]:
        after = 0
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT {COLUMNS} FROM events WHERE position > %s AND event_type = ANY (%s)"
                    " ORDER BY position LIMIT %s",
                    (after, sorted(POSTING_TYPES), BATCH),
                )
                events = [StoredEvent.from_row(row) for row in cursor.fetchall()]
            if not events:
                return
            after = events[-1].position
            try:
                for stored in events:
                    _ = stored.event
            except (UnknownEventType, TypeError, ValueError, KeyError):
                events = [stored for stored in events if _readable(stored)]  # the first pass tells which
            if events:
                yield events


def _readable(stored: StoredEvent) -> bool:
    try:
        _ = stored.event
    except (UnknownEventType, TypeError, ValueError, KeyError):
        return False
    return True


def _named(day: date, currency: str, ledger_account: str) -> str:
    return f"of {ledger_account} in {currency} on {day}"


def _ledger_days() -> dict[str, LedgerDayRow]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT day, currency, ledger_account, credits, debits, lines FROM ledger_days")
        return {_named(*row[:3]): LedgerDayRow(*row[3:]) for row in cursor.fetchall()}


def _difference(actual: Any, expected: Any) -> str:
    """What is wrong with a row, without the columns that are right."""
    if actual is None or expected is None:
        return "is missing" if actual is None else "has no event"
    return ", ".join(
        f"has {column} {was}, its event makes {makes}"
        for column, was, makes in zip(expected._fields, actual, expected, strict=True)
        if was != makes
    )


def _rows(table: str, key: str, row_type: Any, low: int, high: int) -> dict[int, Any]:
    columns = ", ".join(row_type._fields)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE {key} BETWEEN %s AND %s", (low, high))
        return {row[0]: row_type(*row) for row in cursor.fetchall()}
