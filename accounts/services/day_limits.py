"""What one person moves alone on an account in a day (UTC) counts together: an amount in parts is one amount.

It is looked up twice. Before the command, without a lock, from midnight on: a busy account has many events of today.
And where the account's stream is locked, from the version of the first look on, which is an event or two: so two
movements at once see each other, whichever accounts they come from, and nobody waits for a long sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import POSTING_TYPES, Posting, PostingReversed
from accounts.domain.facts import Decision
from accounts.domain.money import format_minor
from eventstore import arrays
from eventstore.events import Context
from eventstore.transaction import write_transaction
from ops.database.exchange import Answer, Exchange


class Moved(Struct, frozen=True):
    """What somebody had moved alone on an account today, in minor units, when it stood at `version`."""

    version: int = 0
    minor: int = 0


class DayLimit(Struct, frozen=True):
    """For the executor: a command of more than `minor` on one account is refused as `permission_denied`, with what
    its sender moves alone there today: `moved` so far, by account, and what came since."""

    minor: int
    moved: Mapping[UUID, Moved]


def look_up(account_ids: Iterable[UUID], actor: str, *, minor: int) -> DayLimit:
    """
    Raises:
        StoreBusy: the database gave no answer in time.
    """
    wanted = {(account_id, actor): Moved() for account_id in account_ids}
    with write_transaction() as exchange:
        found = _fetch(_send(exchange, wanted))
    return DayLimit(minor, {account_id: moved for (account_id, _), moved in (wanted | found).items()})


def why_two(limit: DayLimit, account_id: UUID, before: int, this: int, currency: str) -> str | None:
    """Why somebody who moved `before` alone on the account may not move `this` alone too; None where they may."""
    if before + this <= limit.minor:
        return None
    told, gone, more = (format_minor(each, currency) for each in (limit.minor, before, this))
    return (
        f"Movements above {told} {currency} by one person on an account in a day (UTC) take a second one: {gone} "
        f"were moved on {account_id}, this one is {more}."
    )


class Tally:
    """What the senders of limited commands in a batch have moved alone, over locked streams."""

    def __init__(self, exchange: Exchange, limited: Iterable[tuple[Context, DayLimit]]) -> None:
        """Asks for it; `limited` are those of the batch."""
        self._seen = {
            (account_id, context.actor): moved
            for context, limit in limited
            for account_id, moved in limit.moved.items()
        }
        self._answer = _send(exchange, self._seen)
        self._moved: dict[tuple[UUID, str], int] | None = None

    def require_within(self, limit: DayLimit, context: Context, decision: Decision) -> None:
        """
        Raises:
            Refusal: `permission_denied`: the sender may not do alone what was decided.
        """
        for account_id, event in _postings(decision):
            before = self._now().get((account_id, context.actor), 0)
            if why := why_two(limit, account_id, before, abs(event.amount), event.currency):
                raise Refusal(ErrorCode.PERMISSION_DENIED, why)

    def add(self, context: Context, decision: Decision) -> None:
        """Counts what was done, for the commands after it in the batch."""
        if context.approved_by:
            return
        moved = self._now()
        for account_id, event in _postings(decision):
            key = (account_id, context.actor)
            if key in moved:
                moved[key] += abs(event.amount)

    def _now(self) -> dict[tuple[UUID, str], int]:
        if self._moved is None:
            since = _fetch(self._answer)
            self._moved = {key: seen.minor + since.get(key, Moved()).minor for key, seen in self._seen.items()}
        return self._moved


_MOVEMENTS = sorted(POSTING_TYPES - {PostingReversed.__name__})
"""Without reversals, which have a limit of their own."""


def _postings(decision: Decision) -> Sequence[tuple[UUID, Posting]]:
    return [
        (account_id, event)
        for account_id, event in decision
        if isinstance(event, Posting) and not isinstance(event, PostingReversed)
    ]


_MOVED = """
    SELECT k.account_id, k.actor, s.version,
           (SELECT coalesce(sum(abs((e.data ->> 'amount')::bigint)), 0)
              FROM events e
             WHERE e.aggregate_id = k.account_id AND e.version > greatest(k.version, before.version)
               AND e.event_type = ANY ($4::text[])
               AND e.metadata ->> 'actor' = k.actor AND e.metadata ->> 'approved_by' IS NULL)
      FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS k (account_id, actor, version)
      JOIN streams s ON s.aggregate_id = k.account_id
     CROSS JOIN LATERAL version_at(
               k.account_id, date_trunc('day', now(), 'UTC') - interval '1 microsecond') AS before (version)
"""
"""From the books, behind a version and after midnight: what came and went, less what a second person approved. One
statement: the sum and the version that it goes up to are of one moment."""


def _send(exchange: Exchange, seen: Mapping[tuple[UUID, str], Moved]) -> Answer:
    return exchange.send(
        _MOVED,
        (
            arrays.uuids(account_id for account_id, _ in seen),
            arrays.texts(actor for _, actor in seen),
            arrays.bigints(moved.version for moved in seen.values()),
            arrays.texts(_MOVEMENTS),
        ),
    )


def _fetch(answer: Answer) -> dict[tuple[UUID, str], Moved]:
    return {
        (UUID(account_id.decode()), actor.decode()): Moved(int(version), int(minor))
        for account_id, actor, version, minor in answer.rows()
    }
