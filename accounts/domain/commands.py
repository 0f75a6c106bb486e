"""What may be asked of an account. Amounts are in minor units; whether it may happen is `decide`'s word."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from accounts.domain.money import Money


class InternalAccount(StrEnum):
    """The bank's own accounts that a deposit or withdrawal is booked against, one of each per currency."""

    CASH = "cash"
    CARDS = "cards"
    WIRE = "wire"
    FEES = "fees"
    INTEREST = "interest"


@dataclass(frozen=True, slots=True)
class OpenAccount:
    account_id: UUID
    owner: str
    currency: str
    product: str = "current"
    overdraft_limit: int = 0
    opening_deposit: int = 0
    contra: InternalAccount = InternalAccount.CASH
    custodian: str = "bank"


@dataclass(frozen=True, slots=True)
class Deposit:
    account_id: UUID
    amount: Money
    contra: InternalAccount = InternalAccount.CASH
    description: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    account_id: UUID
    amount: Money
    contra: InternalAccount = InternalAccount.CASH
    description: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    account_id: UUID
    """The account that pays."""
    target_id: UUID
    amount: Money
    description: str = ""


@dataclass(frozen=True, slots=True)
class ChangeOverdraftLimit:
    account_id: UUID
    limit: Money


@dataclass(frozen=True, slots=True)
class FreezeAccount:
    account_id: UUID


@dataclass(frozen=True, slots=True)
class UnfreezeAccount:
    account_id: UUID


@dataclass(frozen=True, slots=True)
class CloseAccount:
    account_id: UUID


@dataclass(frozen=True, slots=True)
class ReverseTransaction:
    transaction_id: UUID
    description: str = ""


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
)
