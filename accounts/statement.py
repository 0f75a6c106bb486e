"""What happened on an account from one day to another, straight from the books.

Days are UTC days, by the moment of recording, as everywhere here. What was recorded does not change, so a statement
of days that are over is the same whenever it is asked for; `closing_hash`, which stands for all events of the account
up to its end, lets anybody see that it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts import selectors
from accounts.days import SETTLED_AFTER, begin_of, end_of
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import POSTING_TYPES
from eventstore import store
from eventstore.errors import BrokenHistory
from eventstore.models import Event

LONGEST = timedelta(days=366)
_INSTANT = timedelta(microseconds=1)

_TOTALS = """
    SELECT count(*),
           coalesce(sum((data ->> 'amount')::bigint) FILTER (WHERE (data ->> 'amount')::bigint > 0), 0),
           coalesce(sum((data ->> 'amount')::bigint) FILTER (WHERE (data ->> 'amount')::bigint < 0), 0)
      FROM events
     WHERE aggregate_id = %s AND version > %s AND version <= %s AND event_type = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """Amounts are minor units of `currency`; `debits` is zero or less. The events of the period are those behind the
    account's `opening_version`, up to its `closing_version`."""

    account_id: UUID
    owner: str
    currency: str
    first_day: date
    last_day: date
    opening_balance: int
    credits: int
    debits: int
    closing_balance: int
    posting_count: int
    opening_version: int
    closing_version: int
    closing_hash: str
    is_final: bool

    def postings(self) -> QuerySet[Event]:
        """Those of the period, as events, oldest first: `selectors.posting` reads each."""
        return selectors.events(self.account_id).filter(
            version__gt=self.opening_version, version__lte=self.closing_version, event_type__in=POSTING_TYPES
        )


def statement(account_id: UUID, first_day: date, last_day: date, custodian: str | None) -> Statement:
    """The statement of the days from the first to the last, both included. The last may be today: then it ends now.

    Raises:
        Refusal: `account_not_found`; `account_not_yet_opened`; `validation_failed` for days that cannot be.
        BrokenHistory: the books contradict themselves.
    """
    account = selectors.account(account_id, custodian)
    now = timezone.now()
    if last_day > now.date():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "That day has not begun (days are UTC days).", field="to")
    if first_day > last_day:
        raise Refusal(ErrorCode.VALIDATION_FAILED, "The first day comes after the last.", field="from")
    if last_day - first_day >= LONGEST:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"A statement covers at most {LONGEST.days} days.", field="from")
    if last_day < account.opened_at.astimezone(UTC).date():
        raise Refusal(
            ErrorCode.ACCOUNT_NOT_YET_OPENED,
            "The account was opened after that day.",
            field="to",
            opened_at=account.opened_at.isoformat(),
        )
    ends = end_of(last_day)
    opening_version = store.version_at(account_id, begin_of(first_day) - _INSTANT)
    closing_version = store.version_at(account_id, ends - _INSTANT)
    opening_balance, closing_balance = _balances_at(account_id, opening_version, closing_version)
    count, credits_, debits = _totals(account_id, opening_version, closing_version)
    if opening_balance + credits_ + debits != closing_balance:
        raise BrokenHistory(
            f"account {account_id}: {opening_balance} at version {opening_version}, {credits_} and {debits} after it "
            f"do not make {closing_balance} at version {closing_version}"
        )
    return Statement(
        account_id=account_id,
        owner=account.owner,
        currency=account.currency,
        first_day=first_day,
        last_day=last_day,
        opening_balance=opening_balance,
        credits=credits_,
        debits=debits,
        closing_balance=closing_balance,
        posting_count=count,
        opening_version=opening_version,
        closing_version=closing_version,
        closing_hash=bytes(selectors.events(account_id).get(version=closing_version).hash).hex(),
        is_final=now >= ends + SETTLED_AFTER,
    )


def _balances_at(account_id: UUID, *versions: int) -> Iterator[int]:
    for version in versions:
        yield store.load(account_id, upto_version=version).state.balance if version else 0


def _totals(account_id: UUID, after_version: int, upto_version: int) -> tuple[int, int, int]:
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, (account_id, after_version, upto_version, sorted(POSTING_TYPES)))
        count, credits_, debits = cursor.fetchone()
    return count, int(credits_), int(debits)
