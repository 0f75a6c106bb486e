"""What can happen to an account. An event is a fact: it is stored once and never altered.

Amounts are signed minor units as the account sees them: positive is credited, negative is debited. Each
movement names its contra account, where the other side of the posting is booked: an internal account such as
`cash:EUR`, or `account:<id>` for the other end of a transfer. So every transaction sums to zero.
"""

import functools
from dataclasses import dataclass, fields
from datetime import date
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A movement of money. `balance` is the ledger balance after it; `value_date` is when it counts for
    interest, beside the moment of recording that the store keeps."""

    amount: int
    currency: str
    contra: str
    value_date: date
    balance: int
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(Posting):
    """The beginning; `amount` is the opening deposit, zero or more.

    `custodian` is the API client that may act for the account ("client:<name>"), or "bank".
    """

    owner: str
    product: str
    overdraft_limit: int
    custodian: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited(Posting):
    """Money came in from an internal account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Posting):
    """Money went out to an internal account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSent(Posting):
    """Money went to another account; its `TransferReceived` is in the same transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReceived(Posting):
    """Money came from another account; its `TransferSent` is in the same transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingReversed(Posting):
    """A posting of this account was undone: `reverses` is the transaction, `reverses_version` the event."""

    reverses: UUID
    reverses_version: int


@dataclass(frozen=True, slots=True)
class OverdraftLimitChanged:
    """Limits in minor units, zero or more."""

    overdraft_limit: int
    previous: int


@dataclass(frozen=True, slots=True)
class AccountFrozen:
    """No money moves until it is unfrozen."""


@dataclass(frozen=True, slots=True)
class AccountUnfrozen:
    """Money moves again."""


@dataclass(frozen=True, slots=True)
class AccountClosed:
    """The end: at a balance of zero, and for good."""


Event = (
    AccountOpened
    | Deposited
    | Withdrawn
    | TransferSent
    | TransferReceived
    | PostingReversed
    | OverdraftLimitChanged
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
)

EVENT_CLASSES: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__args__}
POSTING_TYPES = frozenset(name for name, cls in EVENT_CLASSES.items() if issubclass(cls, Posting))
"""Events that may move money (an account may be opened with none)."""


def to_data(item: Any) -> dict[str, Any]:
    """The fields of an event, command or state as JSON-ready values (dates and ids as strings)."""
    return {name: _plain(getattr(item, name)) for name in _names(item.__class__)}


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _plain(value: Any) -> Any:
    if isinstance(value, (int, str)) or value is None:
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return to_data(value)


def from_data(event_type: str, data: dict[str, Any]) -> Event:
    """The event that `to_data` wrote. Extra or missing fields raise TypeError: schemas change by upcasters."""
    cls = EVENT_CLASSES[event_type]
    if event_type in POSTING_TYPES:
        data = {**data, "value_date": date.fromisoformat(data["value_date"])}
        if cls is PostingReversed:
            data["reverses"] = UUID(data["reverses"])
    return cls(**data)
