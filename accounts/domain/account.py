"""The account aggregate: its state, and how events change it."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from accounts.domain.events import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Event,
    HoldCaptured,
    HoldExtended,
    HoldPlaced,
    HoldReleased,
    OverdraftLimitChanged,
    Posting,
)

AGGREGATE_TYPE = "account"
STATE_SCHEMA = 1
"""Raise it when `Account` gains, loses or redefines a field: snapshots of other schemas are then not used."""


class Status(StrEnum):
    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class BrokenStream(Exception):
    """A stream whose events contradict each other. Nothing may be built on it until a person has looked."""


class Account(Struct, frozen=True):
    """State of one account after `version` events. Money in minor units of `currency`.

    `balance` is the ledger balance; `held` is reserved but not yet booked.
    """

    id: UUID
    owner: str
    currency: str
    product: str
    custodian: str
    overdraft_limit: int
    status: Status
    balance: int
    held: int
    version: int

    @property
    def available(self) -> int:
        """What may be spent now: balance and overdraft less what is held."""
        return self.balance + self.overdraft_limit - self.held


def evolve(account: Account | None, account_id: UUID, event: Event) -> Account:
    """The state after `event`.

    Raises:
        BrokenStream: the event cannot follow on this state (its own record of the balance disagrees).
    """
    if isinstance(event, AccountOpened):
        if account is not None:
            raise BrokenStream(f"account {account_id} is opened twice")
        if event.balance != event.amount:
            raise BrokenStream(f"account {account_id} is opened with {event.amount}, yet at {event.balance}")
        return Account(
            id=account_id,
            owner=event.owner,
            currency=event.currency,
            product=event.product,
            custodian=event.custodian,
            overdraft_limit=event.overdraft_limit,
            status=Status.OPEN,
            balance=event.balance,
            held=0,
            version=1,
        )
    if account is None:
        raise BrokenStream(f"account {account_id} has events before it is opened")
    version = account.version + 1
    if isinstance(event, Posting):
        balance = account.balance + event.amount
        if balance != event.balance or event.currency != account.currency:
            raise BrokenStream(
                f"account {account_id} version {version} records a balance of {event.balance} "
                f"{event.currency}; the events before it make {balance} {account.currency}"
            )
        if isinstance(event, HoldCaptured):
            held = _held_after(account, event.amount - event.released, event.held)
            return replace(account, balance=balance, held=held, version=version)
        return replace(account, balance=balance, version=version)
    if isinstance(event, (HoldPlaced, HoldExtended)):
        return replace(account, held=_held_after(account, event.amount, event.held), version=version)
    if isinstance(event, HoldReleased):
        return replace(account, held=_held_after(account, -event.amount, event.held), version=version)
    if isinstance(event, OverdraftLimitChanged):
        return replace(account, overdraft_limit=event.overdraft_limit, version=version)
    if isinstance(event, AccountFrozen):
        return replace(account, status=Status.FROZEN, version=version)
    if isinstance(event, AccountUnfrozen):
        return replace(account, status=Status.OPEN, version=version)
    if isinstance(event, AccountClosed):
        return replace(account, status=Status.CLOSED, version=version)
    raise BrokenStream(f"account {account_id}: {type(event).__name__} is not an event of an account")


def _held_after(account: Account, change: int, recorded: int) -> int:
    held = account.held + change
    if held != recorded or held < 0:
        raise BrokenStream(
            f"account {account.id} version {account.version + 1} records {recorded} as held; the events before it "
            f"make {held}"
        )
    return held


def load_state(data: dict[str, Any]) -> Account:
    """The state that `events.to_data` wrote into a snapshot."""
    return Account(**{**data, "id": UUID(data["id"]), "status": Status(data["status"])})
