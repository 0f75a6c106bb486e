"""Balances at the end of each day (UTC, by the moment of recording) on which money moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from accounts.domain.events import POSTING_TYPES, Posting
from accounts.projections.rows import OTHER_TYPES
from eventstore.events import StoredEvent
from eventstore.models import Event
from eventstore.projections import Orphans, Projection, Slice


@dataclass(slots=True)
class Day:
    """One account's day, or the part of it that a batch holds. Minor units."""

    currency: str
    closing_balance: int = 0
    credits: int = 0
    debits: int = 0
    postings: int = 0
    version: int = 0

    def add(self, posting: Posting, version: int) -> None:
        self.closing_balance = posting.balance
        self.credits += max(posting.amount, 0)
        self.debits += min(posting.amount, 0)
        self.postings += 1
        self.version = version


ADD_UP = """
    ON CONFLICT (account_id, day) DO UPDATE
   SET closing_balance = EXCLUDED.closing_balance,
       credits = d.credits + EXCLUDED.credits,
       debits = d.debits + EXCLUDED.debits,
       postings = d.postings + EXCLUDED.postings,
       version = EXCLUDED.version
"""
"""What happens to a day that has begun."""

Days = dict[tuple[UUID, date], Day]


def add_posting(days: Days, stored: StoredEvent) -> None:
    """Counts a posting into the day on which it was recorded."""
    posting: Posting = stored.event
    if not posting.amount:
        return
    key = stored.aggregate_id, stored.timestamp.astimezone(UTC).date()
    days.setdefault(key, Day(posting.currency)).add(posting, stored.version)


class DailyBalances(Projection[Days]):
    name = "daily_balances"
    tables = ("daily_balances",)
    surrogates = ("id",)
    handles = POSTING_TYPES
    ignores = OTHER_TYPES
    set_based = f"""
        INSERT INTO daily_balances AS d
               (account_id, day, currency, closing_balance, credits, debits, postings, version)
        SELECT aggregate_id, day, min(currency COLLATE "C"), (max(ARRAY[version, balance]))[2],
               sum(greatest(amount, 0)), sum(least(amount, 0)), count(*), max(version)
          FROM (SELECT aggregate_id, version, (timestamp AT TIME ZONE 'UTC')::date AS day,
                       (data ->> 'amount')::bigint AS amount, data ->> 'currency' AS currency,
                       (data ->> 'balance')::bigint AS balance
                  FROM {{fresh}}
                OFFSET 0) AS posting -- OFFSET: each field is read once, not once for each use of it
         WHERE amount <> 0
         GROUP BY aggregate_id, day
        {ADD_UP}
    """
    """The balance after the last posting is that of the greatest pair of version and balance: it needs no sorting."""

    def new_batch(self) -> Days:
        return {}

    def gather(self, stored: StoredEvent, batch: Days) -> None:
        add_posting(batch, stored)

    def write(self, batch: Days, cursor: Any) -> None:
        if not batch:
            return
        cursor.execute(
            """
            INSERT INTO daily_balances AS d
                   (account_id, day, currency, closing_balance, credits, debits, postings, version)
            SELECT * FROM unnest(%s::uuid[], %s::date[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[],
                                 %s::int[], %s::bigint[])
            """
            + ADD_UP,
            [
                [account_id for account_id, _ in batch],
                [day for _, day in batch],
                *(
                    [getattr(item, name) for item in batch.values()]
                    for name in ("currency", "closing_balance", "credits", "debits", "postings", "version")
                ),
            ],
        )

    def orphans(self) -> Sequence[Orphans]:
        """A day bears the version of its last posting."""
        events = (
            "SELECT FROM events e WHERE e.aggregate_id = t.account_id AND e.version = t.version"
            " AND (e.timestamp AT TIME ZONE 'UTC')::date = t.day"
        )
        return (Orphans("daily_balances", "id", f"NOT EXISTS ({events})"),)

    def slice_of(self, aggregate_id: UUID, from_version: int) -> Slice | None:
        """Whole days: replaying begins with the first event of the day."""
        events = Event.objects.filter(aggregate_id=aggregate_id)
        first = events.filter(version__gte=from_version).order_by("version").first()
        if first is None:
            return None
        day = first.timestamp.astimezone(UTC).date()
        begin = datetime.combine(day, time(), tzinfo=UTC)
        before = events.filter(version__lt=from_version, timestamp__gte=begin).order_by("version").first()
        return Slice(
            "daily_balances",
            "account_id = %s AND day >= %s",
            (aggregate_id, day),
            before.version if before else from_version,
        )
