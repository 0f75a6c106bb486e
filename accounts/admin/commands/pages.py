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
    it is offered for; `below` is the model on whose pages it hangs; `asks_again`: only after a recent sign-in."""

    name: str
    permission: str
    title: str
    explains: str
    form: type[f.CommandForm]
    statuses: frozenset[Status] = OPEN_ONLY
    below: str = "account"
    is_dangerous: bool = False
    asks_again: bool = False

    @property
    def path(self) -> str:
        """The end of its URL."""
        return self.name.replace("_", "-")

    @property
    def url_name(self) -> str:
        return f"accounts_{self.below}_{self.name}"

    def url(self, subject_id: UUID) -> str:
        return reverse(f"admin:{self.url_name}", args=[subject_id])


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
PLACE_HOLD = CommandPage(
    "place_hold",
    "accounts.place_hold",
    "Place a hold",
    "Money is reserved for a booking to come: it cannot be spent meanwhile, and the ledger balance stays.",
    f.PlaceHoldForm,
)
CAPTURE_HOLD = CommandPage(
    "capture_hold",
    "accounts.capture_hold",
    "Capture",
    "What was reserved is booked: it goes out to one of the bank's own accounts, or to another customer's, as a "
    "transfer.",
    f.CaptureHoldForm,
    below="hold",
)
EXTEND_HOLD = CommandPage(
    "extend_hold",
    "accounts.place_hold",
    "Extend",
    "More is reserved, as far as it is available, or for longer, or both. No money moves.",
    f.ExtendHoldForm,
    below="hold",
)
RELEASE_HOLD = CommandPage(
    "release_hold",
    "accounts.release_hold",
    "Release",
    "What is still reserved, or a part of it, can be spent again. No money moves.",
    f.ReleaseHoldForm,
    statuses=NOT_CLOSED,
    below="hold",
    is_dangerous=True,
)
HOLD_COMMANDS = (CAPTURE_HOLD, EXTEND_HOLD, RELEASE_HOLD)
ACCOUNT_COMMANDS = (DEPOSIT, WITHDRAW, TRANSFER, PLACE_HOLD, CHANGE_OVERDRAFT_LIMIT, FREEZE, UNFREEZE, CLOSE)

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
