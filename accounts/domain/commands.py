"""What may be asked of an account. Amounts are in minor units; whether it may happen is `decide`'s word."""

from enum import StrEnum
from uuid import UUID

from msgspec import Struct

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
