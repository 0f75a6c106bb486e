"""What can happen to an account. An event is a fact: it is stored once and never altered.

Amounts are signed minor units as the account sees them: positive is credited, negative is debited. Each
movement names its contra account, where the other side of the posting is booked: an internal account such as
`cash:EUR`, or `account:<id>` for the other end of a transfer. So every transaction sums to zero.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, get_type_hints
from uuid import UUID

from msgspec import Struct, to_builtins


class Posting(Struct, frozen=True, kw_only=True):
    """A movement of money. `balance` is the ledger balance after it; `value_date` is when it counts for
    interest, beside the moment of recording that the store keeps."""

    amount: int
    currency: str
    contra: str
    value_date: date
    balance: int
    description: str = ""


class AccountOpened(Posting, frozen=True, kw_only=True):
    """The beginning; `amount` is the opening deposit, zero or more.

    `custodian` is the API client that may act for the account ("client:<name>"), or "bank".
    """

    owner: str
    product: str
    overdraft_limit: int
    custodian: str


class Deposited(Posting, frozen=True, kw_only=True):
    """Money came in from an internal account."""


class Withdrawn(Posting, frozen=True, kw_only=True):
    """Money went out to an internal account."""


class TransferSent(Posting, frozen=True, kw_only=True):
    """Money went to another account; its `TransferReceived` is in the same transaction."""


class TransferReceived(Posting, frozen=True, kw_only=True):
    """Money came from another account; its `TransferSent`, or `HoldCaptured` there, is in the same transaction."""


class PostingReversed(Posting, frozen=True, kw_only=True):
    """A posting of this account was undone: `reverses` is the transaction, `reverses_version` the event."""

    reverses: UUID
    reverses_version: int


class HoldPlaced(Struct, frozen=True, kw_only=True):
    """Money was reserved until `expires_at`, for a later posting against `contra`. `held` is all that the account
    holds after it."""

    hold_id: UUID
    amount: int
    currency: str
    contra: str
    expires_at: datetime
    held: int
    description: str = ""


class HoldCaptured(Posting, frozen=True, kw_only=True):
    """Money that a hold had reserved was booked; `released` more of it is reserved no longer. `held` is all that the
    account holds after it."""

    hold_id: UUID
    released: int
    held: int


class HoldExtended(Struct, frozen=True, kw_only=True):
    """A hold reserves `amount` more, zero or above, and lasts until `expires_at`, no earlier than before. `held` is
    all that the account holds after it."""

    hold_id: UUID
    amount: int
    expires_at: datetime
    held: int


class HoldReleased(Struct, frozen=True, kw_only=True):
    """`amount` of what a hold reserved was given up, all that was left or a part; `held` is what the account holds
    after it."""

    hold_id: UUID
    amount: int
    held: int


class HoldExpired(HoldReleased, frozen=True, kw_only=True):
    """All that was left of a hold was given up because its time was over."""


class OverdraftLimitChanged(Struct, frozen=True):
    """Limits in minor units, zero or more."""

    overdraft_limit: int
    previous: int


class AccountFrozen(Struct, frozen=True):
    """No money moves until it is unfrozen."""


class AccountUnfrozen(Struct, frozen=True):
    """Money moves again."""


class AccountClosed(Struct, frozen=True):
    """The end: at a balance of zero, and for good."""


Event = (
    AccountOpened
    | Deposited
    | Withdrawn
    | TransferSent
    | TransferReceived
    | PostingReversed
    | HoldPlaced
    | HoldCaptured
    | HoldExtended
    | HoldReleased
    | HoldExpired
    | OverdraftLimitChanged
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
)

EVENT_CLASSES: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__args__}
HOLD_EVENTS = (HoldPlaced, HoldCaptured, HoldExtended, HoldReleased)
"""Classes of the events that happen to a hold."""
POSTING_TYPES = frozenset(name for name, cls in EVENT_CLASSES.items() if issubclass(cls, Posting))
"""Events that may move money (an account may be opened with none)."""


def to_data(item: Struct) -> dict[str, Any]:
    """The fields of an event, command or state as JSON-ready values (dates and ids as strings)."""
    data: dict[str, Any] = to_builtins(item)
    return data


def from_data(event_type: str, data: dict[str, Any]) -> Event:
    """The event that `to_data` wrote. Extra or missing fields raise TypeError: schemas change by upcasters."""
    read = _READ[event_type]
    if read:
        data = {**data, **{name: from_text(data[name]) for name, from_text in read}}
    return EVENT_CLASSES[event_type](**data)


_FROM_TEXT: dict[type, Callable[[str], Any]] = {
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    UUID: UUID,
}
_READ = {
    name: tuple((field, _FROM_TEXT[kind]) for field, kind in get_type_hints(cls).items() if kind in _FROM_TEXT)
    for name, cls in EVENT_CLASSES.items()
}
"""The fields of each event that JSON has as text, with what reads them."""
