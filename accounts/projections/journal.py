"""The journal: every transaction sums to zero per currency."""

from typing import Any

from accounts.domain.events import POSTING_TYPES
from accounts.projections.rows import OTHER_TYPES, JournalRow, insert_rows, journal_rows
from eventstore.events import StoredEvent
from eventstore.projections import Projection

Rows = list[JournalRow]


class Journal(Projection[Rows]):
    name = "journal"
    tables = ("journal_lines",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES

    def new_batch(self) -> Rows:
        return []

    def gather(self, stored: StoredEvent, batch: Rows) -> None:
        batch.extend(journal_rows(stored))

    def write(self, batch: Rows, cursor: Any) -> None:
        insert_rows(cursor, "journal_lines", JournalRow, "bigint uuid text text bigint date timestamptz", batch)
