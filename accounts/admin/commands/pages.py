"""The commands that staff may give, as data: what each is called, who may, when it fits, and its form."""

from dataclasses import dataclass
from uuid import UUID

from django.urls import reverse

from accounts.admin.commands import forms as f
from accounts.domain.account import Status

OPEN_ONLY = frozenset({Status.OPEN})
NOT_CLOSED = frozenset({Status.OPEN, Status.FROZEN})


@dataclass(frozen=True, slots=True)
class CommandPage:
    """`name` is the audit entry's action and the end of the URL's name; `statuses` are those of an account that
    it is offered for; `asks_again`: only after a recent sign-in."""

    name: str
    permission: str
    title: str
    explains: str
    form: type[f.CommandForm]
    statuses: frozenset[Status] = OPEN_ONLY
    is_dangerous: bool = False
    asks_again: bool = False

    def url(self, account_id: UUID) -> str:
        return reverse(f"admin:accounts_account_{self.name}", args=[account_id])


DEPOSIT = CommandPage(
    "deposit",
    "accounts.deposit",
    "Deposit",
    "Money comes in from one of the bank's own accounts and is available at once.",
    f.DepositForm,
)
WITHDRAW = CommandPage(
    "withdraw",
    "accounts.withdraw",
    "Withdraw",
    "Money goes out to one of the bank's own accounts, up to the available balance.",
    f.WithdrawForm,
)
TRANSFER = CommandPage(
    "transfer",
    "accounts.transfer",
    "Transfer",
    "Money leaves this account and arrives on another one of the same currency, in one piece or not at all.",
    f.TransferForm,
)
CHANGE_OVERDRAFT_LIMIT = CommandPage(
    "change_overdraft_limit",
    "accounts.change_overdraft_limit",
    "Change overdraft limit",
    "The limit says how far below zero the balance may go.",
    f.OverdraftLimitForm,
    statuses=NOT_CLOSED,
    asks_again=True,
)
FREEZE = CommandPage(
    "freeze",
    "accounts.freeze",
    "Freeze",
    "No money moves on a frozen account, neither in nor out, until it is unfrozen.",
    f.FreezeForm,
    is_dangerous=True,
)
UNFREEZE = CommandPage(
    "unfreeze",
    "accounts.unfreeze",
    "Unfreeze",
    "Money moves on the account again.",
    f.UnfreezeForm,
    statuses=frozenset({Status.FROZEN}),
)
CLOSE = CommandPage(
    "close",
    "accounts.close_account",
    "Close",
    "The account is closed for good. Its balance must be zero, and its history stays.",
    f.CloseForm,
    is_dangerous=True,
    asks_again=True,
)
ACCOUNT_COMMANDS = (DEPOSIT, WITHDRAW, TRANSFER, CHANGE_OVERDRAFT_LIMIT, FREEZE, UNFREEZE, CLOSE)

OPEN = CommandPage(
    "open",
    "accounts.open_account",
    "Open an account",
    "A new account with a history of its own. Its currency and product stay as they are chosen here. It begins "
    "without an overdraft.",
    f.OpenForm,
)
REVERSE = CommandPage(
    "reverse",
    "accounts.reverse_transaction",
    "Reverse",
    "Each posting of the transaction is undone by one of the opposite amount. A transaction is reversed once, as a "
    "whole; both stay in the books.",
    f.ReverseForm,
    is_dangerous=True,
    asks_again=True,
)
