"""A teller's view of the bank for tests: short words for commands, all of them through the executor."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec import UNSET

from accounts.domain.commands import (
    CaptureHold,
    ChangeOverdraftLimit,
    CloseAccount,
    Command,
    Deposit,
    ExtendHold,
    FreezeAccount,
    OpenAccount,
    PlaceHold,
    ReleaseHold,
    ReverseTransaction,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import Money, parse_decimal, parse_money
from accounts.models import Account, Hold
from accounts.services import Envelope, Executed, execute, execute_one, idempotency_key
from eventstore.events import Context, new_id
from eventstore.models import Event


@dataclass
class Bank:
    """Amounts are decimal strings; every method raises `Refusal` where the bank refuses."""

    currency: str = "EUR"
    context: Context = field(default_factory=lambda: Context(actor="system:test", source="test", reason="a test"))

    def do(self, command: Command, *, key: str | None = None, **envelope: object) -> Executed:
        return execute_one(self.envelope(command, key=key, **envelope))

    def envelope(self, command: Command, *, key: str | None = None, **extra: object) -> Envelope:
        idempotency = idempotency_key(scope="test", key=key, command=command) if key else None
        return Envelope(command, self.context, idempotency, **extra)  # type: ignore[arg-type]

    def money(self, amount: str) -> Money:
        return parse_money(amount, self.currency)

    def open(self, balance: str = "0", *, owner: str = "Ann", overdraft: str = "0", **fields: str) -> UUID:
        account_id = new_id()
        limit = parse_decimal(overdraft, self.currency)
        self.do(OpenAccount(account_id, owner, self.currency, overdraft_limit=limit, **fields))  # type: ignore[arg-type]
        if parse_decimal(balance, self.currency):
            self.deposit(account_id, balance)
        return account_id

    def deposit(self, account_id: UUID, amount: str) -> Executed:
        return self.do(Deposit(account_id, self.money(amount)))

    def withdraw(self, account_id: UUID, amount: str) -> Executed:
        return self.do(Withdraw(account_id, self.money(amount)))

    def transfer(self, source: UUID, target: UUID, amount: str) -> Executed:
        return self.do(Transfer(source, target, self.money(amount)))

    def reverse(self, transaction_id: UUID) -> Executed:
        return self.do(ReverseTransaction(transaction_id))

    def limit(self, account_id: UUID, limit: str) -> Executed:
        return self.do(ChangeOverdraftLimit(account_id, Money(parse_decimal(limit, self.currency), self.currency)))

    def freeze(self, account_id: UUID) -> Executed:
        return self.do(FreezeAccount(account_id))

    def unfreeze(self, account_id: UUID) -> Executed:
        return self.do(UnfreezeAccount(account_id))

    def close(self, account_id: UUID) -> Executed:
        return self.do(CloseAccount(account_id))

    def hold(self, account_id: UUID, amount: str, *, expires_at: datetime | None = None) -> UUID:
        """The id of the hold that was placed."""
        self.do(PlaceHold(account_id, hold_id := new_id(), self.money(amount), expires_at=expires_at))
        return hold_id

    def overdue_hold(self, account_id: UUID, amount: str, *, since: timedelta = timedelta(minutes=1)) -> UUID:
        """The id of a hold that was placed in the past, and whose time is over since then."""
        expires_at = datetime.now(UTC) - since
        command = PlaceHold(account_id, hold_id := new_id(), self.money(amount), expires_at=expires_at)
        [outcome] = execute([self.envelope(command)], recorded_at=expires_at - timedelta(days=1))
        assert isinstance(outcome, Executed)
        return hold_id

    def capture(
        self, hold_id: UUID, amount: str | None = None, *, final: bool = True, target: UUID | None = None
    ) -> Executed:
        return self.do(CaptureHold(hold_id, self.money(amount) if amount else None, final, target_id=target or UNSET))

    def extend(self, hold_id: UUID, amount: str | None = None, *, expires_at: datetime | None = None) -> Executed:
        return self.do(ExtendHold(hold_id, self.money(amount) if amount else None, expires_at))

    def release(self, hold_id: UUID, amount: str | None = None) -> Executed:
        return self.do(ReleaseHold(hold_id, self.money(amount) if amount else None))

    def balance(self, account_id: UUID) -> int:
        """Ledger balance in minor units."""
        return Account.objects.get(id=account_id).balance

    def footprint(self) -> tuple[object, ...]:
        """All that a command could change: equal before and after a refusal."""
        return (
            list(Event.objects.order_by("position").values_list("position", "hash")),
            list(Account.objects.order_by("id").values()),
            list(Hold.objects.order_by("id").values()),
        )


def refused(bank: Bank, action: Callable[[], object]) -> ErrorCode:
    """The code with which an action is refused; the books are as they were before it."""
    before = bank.footprint()
    with pytest.raises(Refusal) as refusal:
        action()
    assert bank.footprint() == before
    return refusal.value.code


def funds(account_id: object) -> tuple[int, int, int]:
    """Ledger balance, held and available, in minor units."""
    row = Account.objects.get(id=account_id)
    return row.balance, row.held, row.available
