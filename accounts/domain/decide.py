"""The one place of the rules: `decide(command, facts) -> events`, or a refusal.

Pure: it looks at the states it is given and changes nothing. Every way in (API, admin, command line, batch)
ends here. The rules of holds are in `decide_holds`, and what several rules require in `requirements`.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from accounts.domain import commands as c
from accounts.domain import decide_holds as holds
from accounts.domain import events as e
from accounts.domain.account import Account, Status
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import BookedPosting, Decision, Facts
from accounts.domain.money import Money, exponent_of, format_minor
from accounts.domain.products import PRODUCTS
from accounts.domain.requirements import (
    MAX_DESCRIPTION_LENGTH,
    MAX_OWNER_LENGTH,
    is_in_care,
    other_account,
    own_account,
    post,
    require_amount,
    require_currency,
    require_not_closed,
    require_open,
    require_text,
)


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
    require_text("owner", command.owner, MAX_OWNER_LENGTH, required=True)
    _require_overdraft_within(command.overdraft_limit, command.product)
    if command.opening_deposit:
        require_amount(Money(command.opening_deposit, command.currency), field="opening_deposit")
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
    account = own_account(command.account_id, facts)
    require_amount(command.amount)
    require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    contra = f"{command.contra.value}:{command.amount.currency}"
    return post(kind, account, command.amount.currency, amount, contra, facts, description=command.description)


def _transfer(command: c.Transfer, facts: Facts) -> Decision:
    source = own_account(command.account_id, facts)
    target = other_account(command.target_id, source, facts)
    require_amount(command.amount)
    require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    currency, minor = command.amount.currency, command.amount.minor
    return [
        post(
            e.TransferSent, source, currency, -minor, f"account:{target.id}", facts, description=command.description
        ),
        post(
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
    if not facts.booked or not is_in_care(facts.accounts[facts.booked[0].account_id], facts):
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
    require_text("description", command.description, MAX_DESCRIPTION_LENGTH)
    return [
        post(
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


def _change_overdraft_limit(command: c.ChangeOverdraftLimit, facts: Facts) -> Decision:
    account = own_account(command.account_id, facts)
    require_not_closed(account)
    require_currency(account, command.limit.currency)
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
    account = own_account(command.account_id, facts)
    require_open(account)
    return [(account.id, e.AccountFrozen())]


def _unfreeze(command: c.UnfreezeAccount, facts: Facts) -> Decision:
    account = own_account(command.account_id, facts)
    require_not_closed(account)
    if account.status is not Status.FROZEN:
        raise Refusal(ErrorCode.ACCOUNT_NOT_FROZEN, "The account is not frozen.")
    return [(account.id, e.AccountUnfrozen())]


def _close(command: c.CloseAccount, facts: Facts) -> Decision:
    account = own_account(command.account_id, facts)
    require_open(account)
    if account.balance != 0 or account.held != 0:
        raise Refusal(
            ErrorCode.BALANCE_NOT_ZERO,
            "An account is closed at a balance of zero: move the rest first."
            if account.balance
            else "An account is closed when nothing on it is held: capture or release its holds first.",
            **_booked_and_held(account),
        )
    return [(account.id, e.AccountClosed())]


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


def _booked_and_held(account: Account) -> dict[str, str]:
    balance, held = (format_minor(amount, account.currency) for amount in (account.balance, account.held))
    return {"balance": balance, "held": held, "currency": account.currency}


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
    c.PlaceHold: holds.place_hold,
    c.CaptureHold: holds.capture_hold,
    c.ExtendHold: holds.extend_hold,
    c.ReleaseHold: holds.release_hold,
    c.ExpireHold: holds.expire_hold,
}
