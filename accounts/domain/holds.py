"""Holds: money of an account that is reserved for a posting to come, as cards are authorised first, captured later.

A hold is part of its account's stream. What it reserves counts against the available balance and leaves the ledger
balance alone, until it is captured, released, or its time is over.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from accounts.domain.account import BrokenStream
from accounts.domain.events import HoldCaptured, HoldExpired, HoldExtended, HoldPlaced, HoldReleased


class HoldStatus(StrEnum):
    """`CAPTURED`, `RELEASED` and `EXPIRED` say what ended it; a released or expired one may be captured in part."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Hold(Struct, frozen=True):
    """Amounts in minor units of `currency`: `amount` was reserved in all, of which `captured` is booked and
    `released` given up. `version` is the account's that placing it made; `closed_at` is None while it is open."""

    id: UUID
    account_id: UUID
    version: int
    currency: str
    contra: str
    description: str
    amount: int
    captured: int
    released: int
    status: HoldStatus
    placed_at: datetime
    expires_at: datetime
    closed_at: datetime | None

    @property
    def held(self) -> int:
        """What it still reserves."""
        return self.amount - self.captured - self.released


def evolve_hold(
    hold: Hold | None,
    account_id: UUID,
    version: int,
    at: datetime,
    event: HoldPlaced | HoldCaptured | HoldExtended | HoldReleased,
) -> Hold:
    """The hold after `event`, which is the account's at `version`, recorded `at`.

    Raises:
        BrokenStream: the event cannot happen to the hold as it is.
    """
    if isinstance(event, HoldPlaced):
        if hold is not None:
            raise BrokenStream(f"hold {event.hold_id} is placed twice")
        return Hold(
            id=event.hold_id,
            account_id=account_id,
            version=version,
            currency=event.currency,
            contra=event.contra,
            description=event.description,
            amount=event.amount,
            captured=0,
            released=0,
            status=HoldStatus.OPEN,
            placed_at=at,
            expires_at=event.expires_at,
            closed_at=None,
        )
    if hold is None or hold.status is not HoldStatus.OPEN or hold.account_id != account_id:
        raise BrokenStream(f"hold {event.hold_id} is not open on account {account_id} at its version {version}")
    if isinstance(event, HoldExtended):
        if event.amount < 0 or event.expires_at < hold.expires_at:
            raise BrokenStream(f"hold {hold.id} is extended by {event.amount} until {event.expires_at.isoformat()}")
        return replace(hold, amount=hold.amount + event.amount, expires_at=event.expires_at)
    if isinstance(event, HoldCaptured):
        after = replace(hold, captured=hold.captured - event.amount, released=hold.released + event.released)
        ended = HoldStatus.CAPTURED
    else:
        after = replace(hold, released=hold.released + event.amount)
        ended = HoldStatus.EXPIRED if isinstance(event, HoldExpired) else HoldStatus.RELEASED
        if after.held and ended is HoldStatus.EXPIRED:
            raise BrokenStream(f"the time of hold {hold.id} is over, and {after.held} of it are left")
    if after.held < 0:
        raise BrokenStream(f"hold {hold.id} gives {-after.held} more than it reserves")
    return after if after.held else replace(after, status=ended, closed_at=at)
