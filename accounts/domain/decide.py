"""The one place of the rules: `decide(command, facts) -> events`, or a refusal.

Pure: it looks at the states it is given and changes nothing. Every way in (API, admin, command line, batch)
ends here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from accounts.domain import commands as c
from accounts.domain import events as e
from accounts.domain.account import Account, Status
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.holds import Hold, HoldStatus
from accounts.domain.money import MAX_AMOUNT, MAX_BALANCE, Money, exponent_of, format_minor
from accounts.domain.products import PRODUCTS

MAX_OWNER_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 200
DEFAULT_HOLD = timedelta(days=7)
"""How long a hold lasts where its command does not say: as long as card schemes commonly allow for a capture."""
MAX_HOLD = timedelta(days=31)


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


def touched_accounts(
    command: c.Command, booked: Sequence[BookedPosting] = (), holder: UUID | None = None
) -> tuple[UUID, ...]:
    """The accounts whose state a decision needs; the first is the one that the command is about, unless that is on a
    hold which is not there. `holder` is the account of the hold that it names."""
    if isinstance(command, c.Transfer):
        return (command.account_id, command.target_id)
    if isinstance(command, c.ReverseTransaction):
        return tuple(posting.account_id for posting in booked)
    if isinstance(command, c.ON_A_HOLD):
        target = command.target_id if isinstance(command, c.CaptureHold) else None
        return tuple(account_id for account_id in (holder, target) if account_id)
    return (command.account_id,)


def decide(command: c.Command, facts: Facts) -> Decision:
    """The events that `command` leads to.

    Raises:
        Refusal: the command must not happen; nothing has changed.
    """
    return _RULES[type(command)](command, facts)


def _open(command: c.OpenAccount, facts: Facts) -> Decision:
    if command.account_id in facts.accounts:
        raise Refusal(ErrorCode.CONCURRENCY_CONFLICT, "The account exists already.")
    exponent_of(command.currency)
    product = PRODUCTS.get(command.product)
    if product is None:
        known = ", ".join(sorted(PRODUCTS))
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"The product must be one of: {known}.", field="product")
    _require_text("owner", command.owner, MAX_OWNER_LENGTH, required=True)
    _require_overdraft_within(command.overdraft_limit, command.product)
    if command.opening_deposit:
        _require_amount(Money(command.opening_deposit, command.currency), field="opening_deposit")
    opened = e.AccountOpened(
        amount=command.opening_deposit,
        currency=command.currency,
        contra=f"{command.contra.value}:{command.currency}",
        value_date=facts.today,
        balance=command.opening_deposit,
        owner=command.owner,
        product=command.product,
        overdraft_limit=command.overdraft_limit,
        custodian=command.custodian,
    )
    return [(command.account_id, opened)]


def _deposit(command: c.Deposit, facts: Facts) -> Decision:
    return [_move(command, facts, e.Deposited, +command.amount.minor)]


def _withdraw(command: c.Withdraw, facts: Facts) -> Decision:
    return [_move(command, facts, e.Withdrawn, -command.amount.minor)]


def _move(command: c.Deposit | c.Withdraw, facts: Facts, kind: type[e.Posting], amount: int) -> tuple[UUID, e.Event]:
    account = _own_account(command.account_id, facts)
    _require_amount(command.amount)
    _require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    contra = f"{command.contra.value}:{command.amount.currency}"
    return _post(kind, account, command.amount.currency, amount, contra, facts, description=command.description)


def _transfer(command: c.Transfer, facts: Facts) -> Decision:
    source = _own_account(command.account_id, facts)
    target = _target(command.target_id, source, facts)
    _require_amount(command.amount)
    _require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    currency, minor = command.amount.currency, command.amount.minor
    return [
        _post(
            e.TransferSent, source, currency, -minor, f"account:{target.id}", facts, description=command.description
        ),
        _post(
            e.TransferReceived,
            target,
            currency,
            +minor,
            f"account:{source.id}",
            facts,
            description=command.description,
        ),
    ]


def _reverse(command: c.ReverseTransaction, facts: Facts) -> Decision:
    # A caller may reverse what its own account started: the first posting of the transaction.
    if not facts.booked or not _is_in_care(facts.accounts[facts.booked[0].account_id], facts):
        raise Refusal(
            ErrorCode.TRANSACTION_NOT_FOUND,
            f"There is no transaction {command.transaction_id}.",
            field="transaction_id",
        )
    if not any(posting.event.amount for posting in facts.booked):
        raise Refusal(ErrorCode.NOT_REVERSIBLE, "The transaction moved no money.")
    if any(isinstance(posting.event, e.PostingReversed) for posting in facts.booked):
        raise Refusal(ErrorCode.NOT_REVERSIBLE, "A reversal cannot be reversed: post the movement anew.")
    if facts.reversed_by is not None:
        raise Refusal(
            ErrorCode.ALREADY_REVERSED,
            f"The transaction was reversed before, by {facts.reversed_by}.",
            reversed_by=str(facts.reversed_by),
        )
    _require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    return [
        _post(
            e.PostingReversed,
            facts.accounts[posting.account_id],
            posting.event.currency,
            -posting.event.amount,
            posting.event.contra,
            facts,
            description=command.description,
            reverses=command.transaction_id,
            reverses_version=posting.version,
        )
        for posting in facts.booked
    ]


def _place_hold(command: c.PlaceHold, facts: Facts) -> Decision:
    account = _own_account(command.account_id, facts)
    _require_amount(command.amount)
    _require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    expires_at = command.expires_at or facts.now + DEFAULT_HOLD
    _require_end(expires_at, facts, after=facts.now)
    _require_open(account)
    _require_currency(account, command.amount.currency)
    _require_available(account, command.amount.minor, facts)
    placed = e.HoldPlaced(
        hold_id=command.hold_id,
        amount=command.amount.minor,
        currency=account.currency,
        contra=f"{command.contra.value}:{account.currency}",
        expires_at=expires_at,
        held=account.held + command.amount.minor,
        description=command.description,
    )
    return [(account.id, placed)]


def _capture_hold(command: c.CaptureHold, facts: Facts) -> Decision:
    hold, account = _hold_in_time(command.hold_id, facts)
    _require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    minor = _part_of(hold, account, command.amount, ErrorCode.CAPTURE_EXCEEDS_HOLD)
    target = _target(command.target_id, account, facts) if command.target_id else None
    released = hold.held - minor if command.is_final else 0
    description = command.description or hold.description
    captured = _post(
        e.HoldCaptured,
        account,
        hold.currency,
        -minor,
        f"account:{target.id}" if target else hold.contra,
        facts,
        reserved=minor,
        description=description,
        hold_id=hold.id,
        released=released,
        held=account.held - minor - released,
    )
    if target is None:
        return [captured]
    contra = f"account:{account.id}"
    received = _post(e.TransferReceived, target, hold.currency, +minor, contra, facts, description=description)
    return [captured, received]


def _extend_hold(command: c.ExtendHold, facts: Facts) -> Decision:
    """As if as much more had been placed: what the hold reserves in all may still be captured at once."""
    hold, account = _hold_in_time(command.hold_id, facts)
    if command.amount is None and command.expires_at is None:
        raise Refusal(ErrorCode.VALIDATION_FAILED, "Say how much more is held, or until when.", field="amount")
    _require_open(account)
    minor, expires_at = 0, hold.expires_at
    if command.amount is not None:
        _require_amount(command.amount)
        _require_currency(account, command.amount.currency)
        _require_amount(Money(hold.amount + command.amount.minor, hold.currency))
        minor = command.amount.minor
        _require_available(account, minor, facts)
    if command.expires_at is not None:
        expires_at = command.expires_at
        _require_end(expires_at, facts, after=hold.expires_at)
    extended = e.HoldExtended(hold_id=hold.id, amount=minor, expires_at=expires_at, held=account.held + minor)
    return [(account.id, extended)]


def _release_hold(command: c.ReleaseHold, facts: Facts) -> Decision:
    """Also on a frozen account: no money moves."""
    hold, account = _open_hold(command.hold_id, facts)
    minor = _part_of(hold, account, command.amount, ErrorCode.RELEASE_EXCEEDS_HOLD)
    return [_give_up(e.HoldReleased, hold, account, minor)]


def _expire_hold(command: c.ExpireHold, facts: Facts) -> Decision:
    hold, account = _open_hold(command.hold_id, facts)
    if hold.expires_at > facts.now:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"The hold lasts until {hold.expires_at.isoformat()}.")
    return [_give_up(e.HoldExpired, hold, account, hold.held)]


def _change_overdraft_limit(command: c.ChangeOverdraftLimit, facts: Facts) -> Decision:
    account = _own_account(command.account_id, facts)
    _require_not_closed(account)
    _require_currency(account, command.limit.currency)
    _require_overdraft_within(command.limit.minor, account.product)
    if account.held - account.balance > command.limit.minor:
        raise Refusal(
            ErrorCode.OVERDRAFT_IN_USE,
            "The account is overdrawn by more than the new limit."
            if -account.balance > command.limit.minor
            else "Holds on the account reserve more than the new limit would cover: release them first.",
            field="overdraft_limit",
            **_booked_and_held(account),
        )
    changed = e.OverdraftLimitChanged(overdraft_limit=command.limit.minor, previous=account.overdraft_limit)
    return [(account.id, changed)]


def _freeze(command: c.FreezeAccount, facts: Facts) -> Decision:
    account = _own_account(command.account_id, facts)
    _require_open(account)
    return [(account.id, e.AccountFrozen())]


def _unfreeze(command: c.UnfreezeAccount, facts: Facts) -> Decision:
    account = _own_account(command.account_id, facts)
    _require_not_closed(account)
    if account.status is not Status.FROZEN:
        raise Refusal(ErrorCode.ACCOUNT_NOT_FROZEN, "The account is not frozen.")
    return [(account.id, e.AccountUnfrozen())]


def _close(command: c.CloseAccount, facts: Facts) -> Decision:
    account = _own_account(command.account_id, facts)
    _require_open(account)
    if account.balance != 0 or account.held != 0:
        raise Refusal(
            ErrorCode.BALANCE_NOT_ZERO,
            "An account is closed at a balance of zero: move the rest first."
            if account.balance
            else "An account is closed when nothing on it is held: capture or release its holds first.",
            **_booked_and_held(account),
        )
    return [(account.id, e.AccountClosed())]


_RULES: dict[type, Callable[[Any, Facts], Decision]] = {
    c.OpenAccount: _open,
    c.Deposit: _deposit,
    c.Withdraw: _withdraw,
    c.Transfer: _transfer,
    c.ReverseTransaction: _reverse,
    c.ChangeOverdraftLimit: _change_overdraft_limit,
    c.FreezeAccount: _freeze,
    c.UnfreezeAccount: _unfreeze,
    c.CloseAccount: _close,
    c.PlaceHold: _place_hold,
    c.CaptureHold: _capture_hold,
    c.ExtendHold: _extend_hold,
    c.ReleaseHold: _release_hold,
    c.ExpireHold: _expire_hold,
}


# -- the rules that several commands share


def _post(
    kind: type[e.Posting],
    account: Account,
    currency: str,
    amount: int,
    contra: str,
    facts: Facts,
    *,
    reserved: int = 0,
    **details: Any,
) -> tuple[UUID, e.Event]:
    """A posting of `amount` (signed) on `account`, if its status, currency and funds allow it; `reserved` of these
    are held for it."""
    _require_open(account)
    _require_currency(account, currency)
    if amount < 0:
        _require_available(account, -amount - reserved, facts)
    balance = account.balance + amount
    if abs(balance) > MAX_BALANCE:
        raise Refusal(
            ErrorCode.BALANCE_LIMIT_EXCEEDED,
            f"No account may hold more than {format_minor(MAX_BALANCE, account.currency)} {account.currency}.",
            account_id=str(account.id),
        )
    posting = kind(
        amount=amount, currency=currency, contra=contra, value_date=facts.today, balance=balance, **details
    )
    return account.id, posting  # type: ignore[return-value]  # a kind is always one of the Event classes


def _require_available(account: Account, amount: int, facts: Facts) -> None:
    if account.available < amount:
        raise Refusal(
            ErrorCode.INSUFFICIENT_FUNDS,
            "The account has not enough available balance.",
            account_id=str(account.id),
            **_funds_told(account, facts),
        )


def _open_hold(hold_id: UUID, facts: Facts) -> tuple[Hold, Account]:
    """The hold and its account, if it still reserves something and the caller may act for it."""
    hold = facts.hold
    account = facts.accounts.get(hold.account_id) if hold else None
    if hold is None or account is None or not _is_in_care(account, facts):
        raise Refusal(ErrorCode.HOLD_NOT_FOUND, f"There is no hold {hold_id}.", field="hold_id")
    if hold.status is not HoldStatus.OPEN:
        raise _not_open(hold, hold.status)
    return hold, account


def _hold_in_time(hold_id: UUID, facts: Facts) -> tuple[Hold, Account]:
    """As `_open_hold`, and its time is not over, though nothing may have given it up yet."""
    hold, account = _open_hold(hold_id, facts)
    if hold.expires_at <= facts.now:
        raise _not_open(hold, HoldStatus.EXPIRED)
    return hold, account


def _part_of(hold: Hold, account: Account, amount: Money | None, beyond: ErrorCode) -> int:
    """`amount` of what the hold still reserves, or all, in minor units; `beyond` refuses more than that."""
    if amount is None:
        return hold.held
    _require_amount(amount)
    _require_currency(account, amount.currency)
    if amount.minor > hold.held:
        raise Refusal(
            beyond,
            "The hold reserves less than that.",
            field="amount",
            held=format_minor(hold.held, hold.currency),
            currency=hold.currency,
        )
    return amount.minor


def _require_end(expires_at: datetime, facts: Facts, *, after: datetime) -> None:
    if not after < expires_at <= facts.now + MAX_HOLD:
        later = "" if after == facts.now else f", later than {after.isoformat()}"
        raise Refusal(
            ErrorCode.VALIDATION_FAILED,
            f"A hold lasts until a moment in the next {MAX_HOLD.days} days{later}.",
            field="expires_at",
        )


def _not_open(hold: Hold, status: HoldStatus) -> Refusal:
    return Refusal(
        ErrorCode.HOLD_NOT_OPEN, f"The hold reserves nothing any more: it is {status}.", hold_status=status.value
    )


def _give_up(kind: type[e.HoldReleased], hold: Hold, account: Account, amount: int) -> tuple[UUID, e.Event]:
    given_up = kind(hold_id=hold.id, amount=amount, held=account.held - amount)
    return account.id, given_up


def _funds_told(account: Account, facts: Facts) -> dict[str, str]:
    """What a refusal tells of an account's funds: nothing of one in another's care, whose posting is reversed."""
    if not _is_in_care(account, facts):
        return {}
    return {"available": format_minor(account.available, account.currency), "currency": account.currency}


def _booked_and_held(account: Account) -> dict[str, str]:
    balance, held = (format_minor(amount, account.currency) for amount in (account.balance, account.held))
    return {"balance": balance, "held": held, "currency": account.currency}


def _own_account(account_id: UUID, facts: Facts) -> Account:
    """The account, if it exists and the caller may act for it: else it is unknown to this caller."""
    account = facts.accounts.get(account_id)
    if account is None or not _is_in_care(account, facts):
        raise _unknown_account(account_id, field="account_id")
    return account


def _target(target_id: UUID, source: Account, facts: Facts) -> Account:
    """Another account, which is paid: it may be in anyone's care."""
    if target_id == source.id:
        raise Refusal(ErrorCode.SAME_ACCOUNT, "A transfer needs two accounts.", field="target_account_id")
    target = facts.accounts.get(target_id)
    if target is None:
        raise _unknown_account(target_id, field="target_account_id")
    return target


def _is_in_care(account: Account, facts: Facts) -> bool:
    """Whether the caller may act for the account."""
    return facts.custodian is None or account.custodian == facts.custodian


def _unknown_account(account_id: UUID, *, field: str) -> Refusal:
    return Refusal(ErrorCode.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.", field=field)


def _require_open(account: Account) -> None:
    _require_not_closed(account)
    if account.status is Status.FROZEN:
        raise Refusal(
            ErrorCode.ACCOUNT_FROZEN,
            "The account is frozen: bank staff must unfreeze it first.",
            account_id=str(account.id),
        )


def _require_not_closed(account: Account) -> None:
    if account.status is Status.CLOSED:
        raise Refusal(ErrorCode.ACCOUNT_CLOSED, "The account is closed.", account_id=str(account.id))


def _require_currency(account: Account, currency: str) -> None:
    if account.currency != currency:
        raise Refusal(
            ErrorCode.CURRENCY_MISMATCH,
            f"The account is held in {account.currency}, the amount is in {currency}.",
            field="currency",
            account_id=str(account.id),
        )


def _require_amount(amount: Money, *, field: str = "amount") -> None:
    exponent_of(amount.currency)
    if amount.minor <= 0:
        raise Refusal(ErrorCode.INVALID_AMOUNT, "The amount must be above zero.", field=field)
    if amount.minor > MAX_AMOUNT:
        raise Refusal(
            ErrorCode.AMOUNT_TOO_LARGE,
            f"The amount is above the limit of {format_minor(MAX_AMOUNT, amount.currency)} {amount.currency}.",
            field=field,
        )


def _require_overdraft_within(limit: int, product: str) -> None:
    highest = PRODUCTS[product].max_overdraft
    if not 0 <= limit <= highest:
        raise Refusal(
            ErrorCode.OVERDRAFT_NOT_ALLOWED,
            f"A {product} account may have no overdraft."
            if highest == 0
            else "The overdraft limit is outside of what the product allows.",
            field="overdraft_limit",
        )


def _require_text(name: str, text: str, longest: int, *, required: bool = False) -> None:
    if required and not text.strip():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "This must not be empty.", field=name)
    if len(text) > longest:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"At most {longest} characters.", field=name)
    if not text.isprintable():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "Control characters are not allowed.", field=name)
