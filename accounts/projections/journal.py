"""The journal: every transaction sums to zero per currency."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from accounts.domain.events import POSTING_TYPES
from accounts.projections.rows import OTHER_TYPES, JournalRow, insert_rows, journal_rows
from eventstore.events import StoredEvent
from eventstore.projections import Orphans, Projection, Slice

Rows = list[JournalRow]


class Journal(Projection[Rows]):
    name = "journal"
    tables = ("journal_lines",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES
    set_based = """
        INSERT INTO journal_lines (id, transaction_id, ledger_account, currency, amount, value_date, recorded_at)
        SELECT 2 * position + side, command_id, ledger_account, currency, line.amount, value_date, timestamp
          FROM (SELECT position, aggregate_id, command_id, timestamp, (data ->> 'amount')::bigint AS amount,
                       data ->> 'currency' AS currency, data ->> 'contra' AS contra,
                       (data ->> 'value_date')::date AS value_date
                  FROM {fresh}
                OFFSET 0) AS posting, -- OFFSET: each field is read once, not once for each use of it
               LATERAL (VALUES (0, 'account:' || aggregate_id, posting.amount), (1, contra, -posting.amount))
                   AS line (side, ledger_account, amount)
         WHERE posting.amount <> 0 AND (side = 0 OR NOT starts_with(contra, 'account:'))
         ORDER BY 1
    """

    def new_batch(self) -> Rows:
        return []

    def gather(self, stored: StoredEvent, batch: Rows) -> None:
        batch.extend(journal_rows(stored))

    def write(self, batch: Rows, cursor: Any) -> None:
        insert_rows(cursor, "journal_lines", JournalRow, "bigint uuid text text bigint date timestamptz", batch)

    def slice_of(self, aggregate_id: UUID, from_version: int) -> Slice:
        """Both sides of each posting: lines are numbered by the position of their event."""
        where = (
            "id IN (SELECT 2 * e.position + side FROM events e, generate_series(0, 1) side"
            " WHERE e.aggregate_id = %s AND e.version >= %s)"
        )
        return Slice("journal_lines", where, (aggregate_id, from_version), from_version)

    def orphans(self) -> Sequence[Orphans]:
        """Lines are numbered by the position of their event, each side of it."""
        events = "SELECT FROM events e WHERE e.position = t.id / 2 AND e.command_id = t.transaction_id"
        return (Orphans("journal_lines", "id", f"NOT EXISTS ({events})"),)

    def beyond(self, position: int) -> dict[str, str]:
        return {"journal_lines": f"id > {2 * position + 1:d}"}
