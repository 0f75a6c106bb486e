"""Statement lines: one row a posting."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from accounts.domain.events import POSTING_TYPES
from accounts.projections.rows import OTHER_TYPES, TransactionRow, insert_rows, transaction_rows
from eventstore.events import StoredEvent
from eventstore.projections import Orphans, Projection, Slice

Rows = list[TransactionRow]


class Transactions(Projection[Rows]):
    name = "transactions"
    tables = ("transactions",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES
    set_based = """
        INSERT INTO transactions (position, account_id, version, transaction_id, kind, amount, currency, balance,
                                  contra, description, value_date, recorded_at, reverses)
        SELECT position, aggregate_id, version, command_id, event_type, (data ->> 'amount')::bigint,
               data ->> 'currency', (data ->> 'balance')::bigint, data ->> 'contra', data ->> 'description',
               (data ->> 'value_date')::date, timestamp, (data ->> 'reverses')::uuid
          FROM {fresh}
         WHERE (data ->> 'amount')::bigint <> 0
         ORDER BY position
    """

    def new_batch(self) -> Rows:
        return []

    def gather(self, stored: StoredEvent, batch: Rows) -> None:
        batch.extend(transaction_rows(stored))

    def write(self, batch: Rows, cursor: Any) -> None:
        types = "bigint uuid bigint uuid text bigint text bigint text text date timestamptz uuid"
        insert_rows(cursor, "transactions", TransactionRow, types, batch)

    def slice_of(self, aggregate_id: UUID, from_version: int) -> Slice:
        where = "account_id = %s AND version >= %s"
        return Slice("transactions", where, (aggregate_id, from_version), from_version)

    def orphans(self) -> Sequence[Orphans]:
        events = (
            "SELECT FROM events e"
            " WHERE e.position = t.position AND e.aggregate_id = t.account_id AND e.version = t.version"
        )
        return (Orphans("transactions", "position", f"NOT EXISTS ({events})"),)

    def beyond(self, position: int) -> dict[str, str]:
        return {"transactions": f"position > {position:d}"}
