"""What may be asked of an account. Amounts are in minor units; whether it may happen is `decide`'s word."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from accounts.domain.money import Money


class InternalAccount(StrEnum):
    """The bank's own accounts that a deposit or withdrawal is booked against, one of each per currency."""

    CASH = "cash"
    CARDS = "cards"
    WIRE = "wire"
    FEES = "fees"
    INTEREST = "interest"


class OpenAccount(Struct, frozen=True):
    account_id: UUID
    owner: str
    currency: str
    product: str = "current"
    overdraft_limit: int = 0
    opening_deposit: int = 0
    contra: InternalAccount = InternalAccount.CASH
    custodian: str = "bank"


class Deposit(Struct, frozen=True):
    account_id: UUID
    amount: Money
    contra: InternalAccount = InternalAccount.CASH
    description: str = ""


class Withdraw(Struct, frozen=True):
    account_id: UUID
    amount: Money
    contra: InternalAccount = InternalAccount.CASH
    description: str = ""


class Transfer(Struct, frozen=True):
    account_id: UUID
    """The account that pays."""
    target_id: UUID
    amount: Money
    description: str = ""


class ChangeOverdraftLimit(Struct, frozen=True):
    account_id: UUID
    limit: Money


class FreezeAccount(Struct, frozen=True):
    account_id: UUID


class UnfreezeAccount(Struct, frozen=True):
    account_id: UUID


class CloseAccount(Struct, frozen=True):
    account_id: UUID


class ReverseTransaction(Struct, frozen=True):
    transaction_id: UUID
    description: str = ""


class PlaceHold(Struct, frozen=True):
    """Reserves money. `contra` is where a capture that names no account will be booked; without `expires_at` it
    lasts `decide_holds.DEFAULT_HOLD`."""

    account_id: UUID
    hold_id: UUID
    amount: Money
    contra: InternalAccount = InternalAccount.CARDS
    description: str = ""
    expires_at: datetime | None = None


class CaptureHold(Struct, frozen=True):
    """Books what a hold reserved: `amount` of it, or all. `is_final`: what is left is then given up.

    `target_id` is the account that is paid, in place of what the hold's `contra` says. UNSET, unlike None, is no part
    of what a key stands for: so captures have the keys of the times before there were targets.
    """

    hold_id: UUID
    amount: Money | None = None
    is_final: bool = True
    description: str = ""
    target_id: UUID | UnsetType = UNSET


class ExtendHold(Struct, frozen=True):
    """Reserves `amount` more, or until a later moment, or both."""

    hold_id: UUID
    amount: Money | None = None
    expires_at: datetime | None = None


class ReleaseHold(Struct, frozen=True, omit_defaults=True):
    """Gives up `amount` of what a hold still reserves, or all.

    Without an amount its fields are those of the times when there was none, so that a key of then is known again.
    """

    hold_id: UUID
    amount: Money | None = None


class ExpireHold(Struct, frozen=True):
    """As a release, once the hold's time is over."""

    hold_id: UUID


Command = (
    OpenAccount
    | Deposit
    | Withdraw
    | Transfer
    | ChangeOverdraftLimit
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | ReverseTransaction
    | PlaceHold
    | CaptureHold
    | ExtendHold
    | ReleaseHold
    | ExpireHold
)

ON_A_HOLD = (CaptureHold, ExtendHold, ReleaseHold, ExpireHold)
"""Commands that name a hold; whose account it is on is for the books to say."""
