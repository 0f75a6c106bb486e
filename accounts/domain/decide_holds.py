"""The rules of commands on holds, as a part of `decide`."""

from datetime import datetime, timedelta
from uuid import UUID

from accounts.domain import commands as c
from accounts.domain import events as e
from accounts.domain.account import Account
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import Decision, Facts
from accounts.domain.holds import Hold, HoldStatus
from accounts.domain.money import Money, format_minor
from accounts.domain.requirements import (
    MAX_DESCRIPTION_LENGTH,
    is_in_care,
    other_account,
    own_account,
    post,
    require_amount,
    require_available,
    require_currency,
    require_open,
    require_text,
)

DEFAULT_HOLD = timedelta(days=7)
"""How long a hold lasts where its command does not say: as long as card schemes commonly allow for a capture."""
MAX_HOLD = timedelta(days=31)


def place_hold(command: c.PlaceHold, facts: Facts) -> Decision:
    account = own_account(command.account_id, facts)
    require_amount(command.amount)
    require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    expires_at = command.expires_at or facts.now + DEFAULT_HOLD
    _require_end(expires_at, facts, after=facts.now)
    require_open(account)
    require_currency(account, command.amount.currency)
    require_available(account, command.amount.minor, facts)
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


def capture_hold(command: c.CaptureHold, facts: Facts) -> Decision:
    hold, account = _hold_in_time(command.hold_id, facts)
    require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    minor = _part_of(hold, account, command.amount, ErrorCode.CAPTURE_EXCEEDS_HOLD)
    target = other_account(command.target_id, account, facts) if command.target_id else None
    released = hold.held - minor if command.is_final else 0
    description = command.description or hold.description
    captured = post(
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
    received = post(e.TransferReceived, target, hold.currency, +minor, contra, facts, description=description)
    return [captured, received]


def extend_hold(command: c.ExtendHold, facts: Facts) -> Decision:
    """As if as much more had been placed: what the hold reserves in all may still be captured at once."""
    hold, account = _hold_in_time(command.hold_id, facts)
    if command.amount is None and command.expires_at is None:
        raise Refusal(ErrorCode.VALIDATION_FAILED, "Say how much more is held, or until when.", field="amount")
    require_open(account)
    minor, expires_at = 0, hold.expires_at
    if command.amount is not None:
        require_amount(command.amount)
        require_currency(account, command.amount.currency)
        require_amount(Money(hold.amount + command.amount.minor, hold.currency))
        minor = command.amount.minor
        require_available(account, minor, facts)
    if command.expires_at is not None:
        expires_at = command.expires_at
        _require_end(expires_at, facts, after=hold.expires_at)
    extended = e.HoldExtended(hold_id=hold.id, amount=minor, expires_at=expires_at, held=account.held + minor)
    return [(account.id, extended)]


def release_hold(command: c.ReleaseHold, facts: Facts) -> Decision:
    """Also on a frozen account: no money moves."""
    hold, account = _open_hold(command.hold_id, facts)
    minor = _part_of(hold, account, command.amount, ErrorCode.RELEASE_EXCEEDS_HOLD)
    return [_give_up(e.HoldReleased, hold, account, minor)]


def expire_hold(command: c.ExpireHold, facts: Facts) -> Decision:
    hold, account = _open_hold(command.hold_id, facts)
    if hold.expires_at > facts.now:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"The hold lasts until {hold.expires_at.isoformat()}.")
    return [_give_up(e.HoldExpired, hold, account, hold.held)]


def _open_hold(hold_id: UUID, facts: Facts) -> tuple[Hold, Account]:
    """The hold and its account, if it still reserves something and the caller may act for it."""
    hold = facts.hold
    account = facts.accounts.get(hold.account_id) if hold else None
    if hold is None or account is None or not is_in_care(account, facts):
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
    require_amount(amount)
    require_currency(account, amount.currency)
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
