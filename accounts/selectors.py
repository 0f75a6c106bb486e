"""Reads of accounts. `custodian` limits a reader to the accounts in its care (None: all of them).

What is not in the reader's care does not exist for it: the same refusal, in the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, QuerySet
from django.utils import timezone

from accounts import cache
from accounts.cache import AccountView
from accounts.domain.account import AGGREGATE_TYPE
from accounts.domain.account import Account as AccountState
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import POSTING_TYPES, HoldCaptured, to_data
from accounts.domain.holds import HoldStatus
from accounts.domain.money import format_minor
from accounts.models import Account, Hold, Reversal, Transaction
from eventstore import registry, store
from eventstore.errors import StreamNotFound
from eventstore.models import Event

MONEY_FIELDS = frozenset({"amount", "balance", "overdraft_limit", "previous", "held", "released"})
"""Fields of events that hold minor units."""


def accounts(custodian: str | None) -> QuerySet[Account]:
    """The accounts in the reader's care, newest first."""
    return Account.objects.all() if custodian is None else Account.objects.filter(custodian=custodian)


def account(account_id: UUID, custodian: str | None, *, at_least: int | None = None) -> AccountView:
    """The account as it is now; with `at_least`, a version that the reader has seen, then or some seconds later.

    Raises:
        Refusal: `account_not_found`.
    """
    return visible(cache.account(account_id, at_least=at_least), account_id, custodian)


def visible(found: AccountView | None, account_id: UUID, custodian: str | None) -> AccountView:
    """What was found of an account, for somebody who may see those of `custodian` only (None: all).

    Raises:
        Refusal: `account_not_found`.
    """
    if found is None or custodian not in (None, found.custodian):
        raise Refusal(ErrorCode.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.")
    return found


def account_at(account_id: UUID, moment: datetime, custodian: str | None) -> AccountState:
    """The account as it was at `moment`, by the time of recording, from the books.

    Raises:
        Refusal: `account_not_found`; `account_not_yet_opened`; `validation_failed` for a moment in the future.
    """
    now_state = account(account_id, custodian)
    if moment > timezone.now():
        raise Refusal(ErrorCode.VALIDATION_FAILED, "The moment lies in the future.", field="at")
    try:
        if moment >= now_state.opened_at:
            state: AccountState = store.load(account_id, as_of=moment).state
            return state
    except StreamNotFound:
        pass
    raise Refusal(
        ErrorCode.ACCOUNT_NOT_YET_OPENED,
        "The account was opened after that moment.",
        field="at",
        opened_at=now_state.opened_at.isoformat(),
    )


def events(account_id: UUID) -> QuerySet[Event]:
    """The events of an account, oldest first."""
    return Event.objects.filter(aggregate_id=account_id, aggregate_type=AGGREGATE_TYPE).order_by("version")


def postings(account_id: UUID) -> QuerySet[Transaction]:
    """The postings of an account, newest first, from the read model: it follows the books with a short delay."""
    return Transaction.objects.filter(account_id=account_id).order_by("-version")


def name_holds(page: Sequence[Transaction]) -> None:
    """Has the postings that captured a hold tell it as `hold_id`: the books know it, the read model does not."""
    captures = {row.position: row for row in page if row.kind == HoldCaptured.__name__}
    for event in Event.objects.filter(position__in=captures) if captures else ():
        captures[event.position].hold_id = _decode(event).hold_id


def postings_version(account_id: UUID) -> int:
    """The account's version after the newest posting that the read model holds; 0 where it holds none."""
    newest = Transaction.objects.filter(account_id=account_id).aggregate(newest=Max("version"))["newest"]
    return newest or 0


def holds(account_id: UUID, status: HoldStatus | None = None) -> QuerySet[Hold]:
    """The holds of an account, newest first."""
    found = Hold.objects.filter(account_id=account_id).order_by("-version")
    return found.filter(status=status) if status else found


def hold(hold_id: UUID, custodian: str | None) -> Hold:
    """
    Raises:
        Refusal: `hold_not_found`.
    """
    found = Hold.objects.filter(pk=hold_id).first()
    if found is None or not accounts(custodian).filter(pk=found.account_id).exists():
        raise Refusal(ErrorCode.HOLD_NOT_FOUND, f"There is no hold {hold_id}.")
    return found


@dataclass(frozen=True, slots=True)
class BookedTransaction:
    """A transaction from the books; `postings` are those on accounts in the reader's care."""

    id: UUID
    recorded_at: datetime
    reversed_by: UUID | None
    postings: Sequence[dict[str, Any]]


def transaction(transaction_id: UUID, custodian: str | None) -> BookedTransaction:
    """A transaction, straight from the books: it is there as soon as its command was answered.

    Raises:
        Refusal: `transaction_not_found`.
    """
    booked = Event.objects.filter(command_id=transaction_id, event_type__in=POSTING_TYPES).order_by("position")
    in_care = set(
        accounts(custodian).filter(id__in=[row.aggregate_id for row in booked]).values_list("id", flat=True)
    )
    found = [posting(row) for row in booked if row.aggregate_id in in_care]
    if not found:
        raise Refusal(ErrorCode.TRANSACTION_NOT_FOUND, f"There is no transaction {transaction_id}.")
    reversal = Reversal.objects.filter(transaction_id=transaction_id).values_list("reversed_by", flat=True).first()
    return BookedTransaction(transaction_id, found[0]["recorded_at"], reversal, found)


def posting(row: Event) -> dict[str, Any]:
    event = _decode(row)
    return {
        "transaction_id": row.command_id,
        "account_id": row.aggregate_id,
        "version": row.version,
        "kind": row.event_type,
        "amount": event.amount,
        "currency": event.currency,
        "balance": event.balance,
        "contra": event.contra,
        "description": event.description,
        "value_date": event.value_date,
        "recorded_at": row.timestamp,
        "reverses": getattr(event, "reverses", None),
    } | ({"hold_id": event.hold_id} if isinstance(event, HoldCaptured) else {})


def readable_event(row: Event, currency: str) -> dict[str, Any]:
    """The facts of an event as today's code knows it; amounts as decimal strings of `currency`, the account's."""
    data = to_data(_decode(row))
    return {
        name: format_minor(value, currency) if name in MONEY_FIELDS else value
        for name, value in ({"currency": currency} | data).items()
    }


def _decode(row: Event) -> Any:
    return registry.decode(row.aggregate_type, row.event_type, row.schema_version, row.data)
