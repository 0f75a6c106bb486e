"""Statement lines: one row a posting."""

from typing import Any

from accounts.domain.events import POSTING_TYPES
from accounts.projections.rows import OTHER_TYPES, TransactionRow, insert_rows, transaction_rows
from eventstore.events import StoredEvent
from eventstore.projections import Projection

Rows = list[TransactionRow]


class Transactions(Projection[Rows]):
    name = "transactions"
    tables = ("transactions",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES

    def new_batch(self) -> Rows:
        return []

    def gather(self, stored: StoredEvent, batch: Rows) -> None:
        batch.extend(transaction_rows(stored))

    def write(self, batch: Rows, cursor: Any) -> None:
        types = "bigint uuid bigint uuid text bigint text bigint text text date timestamptz uuid"
        insert_rows(cursor, "transactions", TransactionRow, types, batch)
