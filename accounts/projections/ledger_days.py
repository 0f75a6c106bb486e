"""What each ledger account moved on a day (UTC, by the moment of recording): the sums of the journal.

The bank's own accounts stand for themselves; those of customers are one control account, as in a general ledger.
Balances are sums of days, so the books of any day are added up from some dozen rows for each day before it.
"""

from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from accounts.domain.events import POSTING_TYPES
from accounts.domain.journal import ACCOUNT_PREFIX
from accounts.projections.rows import OTHER_TYPES, JournalRow, journal_rows
from eventstore.events import StoredEvent
from eventstore.projections import Projection

CUSTOMERS = "customers"
"""The control account: the sum of all accounts of customers."""

ADD_UP = """
    ON CONFLICT (day, currency, ledger_account) DO UPDATE
   SET credits = d.credits + EXCLUDED.credits,
       debits = d.debits + EXCLUDED.debits,
       lines = d.lines + EXCLUDED.lines
"""
"""What happens to a day that has begun. Rows come in the order of this key: of two writers that meet, one waits."""


@dataclass(slots=True)
class Movement:
    """One ledger account's day, or the part of it that a batch holds. Minor units."""

    credits: int = 0
    debits: int = 0
    lines: int = 0

    def add(self, amount: int) -> None:
        self.credits += max(amount, 0)
        self.debits += min(amount, 0)
        self.lines += 1


Movements = dict[tuple[date, str, str], Movement]
"""By day, currency and ledger account."""


def add_line(movements: Movements, line: JournalRow) -> None:
    """Counts a line of the journal into the day on which it was recorded."""
    name = CUSTOMERS if line.ledger_account.startswith(ACCOUNT_PREFIX) else line.ledger_account
    key = line.recorded_at.astimezone(UTC).date(), line.currency, name
    movements.setdefault(key, Movement()).add(line.amount)


class LedgerDays(Projection[Movements]):
    name = "ledger_days"
    tables = ("ledger_days",)
    surrogates = ("id",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES
    set_based = f"""
        INSERT INTO ledger_days AS d (day, currency, ledger_account, credits, debits, lines)
        SELECT day, currency, ledger_account, sum(greatest(line.amount, 0)), sum(least(line.amount, 0)), count(*)
          FROM (SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, (data ->> 'amount')::bigint AS amount,
                       data ->> 'currency' AS currency, data ->> 'contra' AS contra
                  FROM {{fresh}}
                OFFSET 0) AS posting, -- OFFSET: each field is read once, not once for each use of it
               LATERAL (VALUES (0, '{CUSTOMERS}', posting.amount), (1, contra, -posting.amount))
                   AS line (side, ledger_account, amount)
         WHERE posting.amount <> 0 AND (side = 0 OR NOT starts_with(contra, '{ACCOUNT_PREFIX}'))
         GROUP BY day, currency, ledger_account
         ORDER BY day, currency COLLATE "C", ledger_account COLLATE "C"
        {ADD_UP}
    """

    def new_batch(self) -> Movements:
        return {}

    def gather(self, stored: StoredEvent, batch: Movements) -> None:
        for line in journal_rows(stored):
            add_line(batch, line)

    def write(self, batch: Movements, cursor: Any) -> None:
        keys = sorted(batch)
        cursor.execute(
            """
            INSERT INTO ledger_days AS d (day, currency, ledger_account, credits, debits, lines)
            SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::bigint[])
            """
            + ADD_UP,
            [
                *([key[place] for key in keys] for place in range(3)),
                *([getattr(batch[key], name) for key in keys] for name in ("credits", "debits", "lines")),
            ],
        )
