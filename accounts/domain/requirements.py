"""What the rules of several commands require, as a part of `decide`: each is met, or refuses."""

from typing import Any
from uuid import UUID

from accounts.domain import events as e
from accounts.domain.account import Account, Status
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.facts import Facts
from accounts.domain.money import MAX_AMOUNT, MAX_BALANCE, Money, exponent_of, format_minor

MAX_OWNER_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 200


def post(
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
    require_open(account)
    require_currency(account, currency)
    if amount < 0:
        require_available(account, -amount - reserved, facts)
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


def require_available(account: Account, amount: int, facts: Facts) -> None:
    if account.available < amount:
        raise Refusal(
            ErrorCode.INSUFFICIENT_FUNDS,
            "The account has not enough available balance.",
            account_id=str(account.id),
            **_funds_told(account, facts),
        )


def _funds_told(account: Account, facts: Facts) -> dict[str, str]:
    """What a refusal tells of an account's funds: nothing of one in another's care, whose posting is reversed."""
    if not is_in_care(account, facts):
        return {}
    return {"available": format_minor(account.available, account.currency), "currency": account.currency}


def own_account(account_id: UUID, facts: Facts) -> Account:
    """The account, if it exists and the caller may act for it: else it is unknown to this caller."""
    account = facts.accounts.get(account_id)
    if account is None or not is_in_care(account, facts):
        raise unknown_account(account_id, field="account_id")
    return account


def is_in_care(account: Account, facts: Facts) -> bool:
    """Whether the caller may act for the account."""
    return facts.custodian is None or account.custodian == facts.custodian


def other_account(target_id: UUID, source: Account, facts: Facts) -> Account:
    """Another account, which is paid: it may be in anyone's care."""
    if target_id == source.id:
        raise Refusal(ErrorCode.SAME_ACCOUNT, "A transfer needs two accounts.", field="target_account_id")
    target = facts.accounts.get(target_id)
    if target is None:
        raise unknown_account(target_id, field="target_account_id")
    return target


def unknown_account(account_id: UUID, *, field: str) -> Refusal:
    return Refusal(ErrorCode.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.", field=field)


def require_open(account: Account) -> None:
    require_not_closed(account)
    if account.status is Status.FROZEN:
        raise Refusal(
            ErrorCode.ACCOUNT_FROZEN,
            "The account is frozen: bank staff must unfreeze it first.",
            account_id=str(account.id),
        )


def require_not_closed(account: Account) -> None:
    if account.status is Status.CLOSED:
        raise Refusal(ErrorCode.ACCOUNT_CLOSED, "The account is closed.", account_id=str(account.id))


def require_currency(account: Account, currency: str) -> None:
    if account.currency != currency:
        raise Refusal(
            ErrorCode.CURRENCY_MISMATCH,
            f"The account is held in {account.currency}, the amount is in {currency}.",
            field="currency",
            account_id=str(account.id),
        )


def require_amount(amount: Money, *, field: str = "amount") -> None:
    exponent_of(amount.currency)
    if amount.minor <= 0:
        raise Refusal(ErrorCode.INVALID_AMOUNT, "The amount must be above zero.", field=field)
    if amount.minor > MAX_AMOUNT:
        raise Refusal(
            ErrorCode.AMOUNT_TOO_LARGE,
            f"The amount is above the limit of {format_minor(MAX_AMOUNT, amount.currency)} {amount.currency}.",
            field=field,
        )


def require_text(name: str, text: str, longest: int, *, required: bool = False) -> None:
    if required and not text.strip():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "This must not be empty.", field=name)
    if len(text) > longest:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"At most {longest} characters.", field=name)
    if not text.isprintable():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "Control characters are not allowed.", field=name)
