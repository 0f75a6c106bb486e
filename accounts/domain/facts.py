"""What a decision may look at, and what it is."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from msgspec import Struct

from accounts.domain import events as e
from accounts.domain.account import Account
from accounts.domain.holds import Hold


class BookedPosting(Struct, frozen=True):
    """A posting as it stands in the books: where it is, and what it says."""

    account_id: UUID
    version: int
    event: e.Posting


class Facts(Struct, frozen=True):
    """What a decision may look at.

    `accounts` holds the touched accounts that exist; `booked` and `reversed_by` answer for the transaction that
    a reversal names, `hold` for the hold that a command names; `custodian` limits the caller to the accounts in its
    care (None: any account). `ahead` is when the events will be recorded where the books of a touched account are
    ahead of the clock.
    """

    accounts: Mapping[UUID, Account]
    now: datetime
    custodian: str | None = None
    booked: Sequence[BookedPosting] = ()
    reversed_by: UUID | None = None
    hold: Hold | None = None
    ahead: datetime | None = None

    @property
    def today(self) -> date:
        """By the books: what is recorded on a day has no value before it."""
        return (self.ahead or self.now).date()


Decision = list[tuple[UUID, e.Event]]
"""Events in the order in which they happen, each with the account that it belongs to."""
