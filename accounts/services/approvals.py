"""How the commands of staff that take two persons are shown, pinned to versions, and executed once approved."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from msgspec import convert

from accounts.domain.commands import (
    CaptureHold,
    ChangeOverdraftLimit,
    Command,
    Deposit,
    ExtendHold,
    OpenAccount,
    PlaceHold,
    ReverseTransaction,
    Transfer,
    Withdraw,
)
from accounts.domain.decide import touched_accounts
from accounts.domain.errors import PASSING, ErrorCode, Refusal
from accounts.domain.events import to_data
from accounts.domain.money import Money, format_minor
from accounts.models import Account
from accounts.refusals import in_full
from accounts.services.envelope import Envelope, Executed, idempotency_key
from accounts.services.executor import execute_one, would_execute
from accounts.services.in_words import in_words, whose
from accounts.services.second_person import holder_of, moved, postings_of, reserved
from eventstore.errors import EventStoreError, OutcomeUnknown, StoreBusy
from eventstore.events import Context
from ops.approvals.registry import Approved, CannotDo, Carried, SensitiveAction, Stale
from ops.html import page_of

SCOPE = "approval"
"""Scope of the idempotency keys: the key is the approval's id."""


def permissions(command: Command) -> tuple[str, ...]:
    """What it takes to give a command, beside the permission that all of its kind take."""
    return (Move.permission,) if isinstance(command, CaptureHold) and command.target_id else ()


class _OfCommand(SensitiveAction):
    """A command of the executor. Its JSON is its fields, amounts in minor units with their currency."""

    kind: ClassVar[type[Command]]

    def build(self, command: dict[str, Any]) -> Command:
        return convert(command, self.kind)

    def permissions(self, command: dict[str, Any]) -> tuple[str, ...]:
        return (*super().permissions(command), *permissions(self.build(command)))

    def preview(self, command: dict[str, Any]) -> Sequence[str]:
        built = self.build(command)
        context = Context(actor="system:preview", source="admin")
        try:
            would = would_execute(Envelope(built, context))
        except Refusal as refusal:
            raise CannotDo(f"{in_full(refusal)} Nothing would be done.") from refusal
        except EventStoreError as error:
            raise CannotDo(f"The bank is busy: {error}. Try again in a moment.") from error
        return [*self.headline(built), *_effects(would)]

    def headline(self, command: Any) -> list[str]:
        return []

    def in_words(self, command: dict[str, Any]) -> Sequence[tuple[str, str]]:
        return in_words(self.build(command))

    def versions(self, command: dict[str, Any]) -> dict[str, Any]:
        ids = self.touched(self.build(command))
        found = dict(Account.objects.filter(pk__in=ids).values_list("pk", "version"))
        return {str(account_id): found.get(account_id, 0) for account_id in ids}

    def differences(self, then: dict[str, Any], now: dict[str, Any]) -> Sequence[str]:
        return [
            f"The account of {whose(UUID(key))}, stood at version {then.get(key)} and is at {now.get(key)} now."
            for key in sorted(then | now)
            if then.get(key) != now.get(key)
        ]

    def touched(self, command: Command) -> list[UUID]:
        return list(touched_accounts(command, holder=holder_of(command)))

    def execute(self, command: dict[str, Any], approved: Approved) -> Carried:
        """With the approval's id as idempotency key and its versions as those that must be found."""
        built = self.build(command)
        context = Context(
            actor=approved.asked_by,
            source="admin",
            reason=approved.reason,
            causation_id=f"approval:{approved.id}",
            approved_by=approved.decided_by,
        )
        envelope = Envelope(
            built,
            context,
            idempotency_key(scope=SCOPE, key=str(approved.id), command=built),
            expected_versions={UUID(key): version for key, version in approved.versions.items()},
        )
        try:
            executed = execute_one(envelope)
        except Refusal as refusal:
            if refusal.code in PASSING:
                raise  # as below
            if refusal.code is not ErrorCode.VERSION_MISMATCH:
                raise CannotDo(in_full(refusal)) from refusal
            changes = self.differences(approved.versions, self.versions(command))
            raise Stale(" ".join([in_full(refusal), *changes])) from refusal
        except (StoreBusy, OutcomeUnknown):
            raise  # it is tried again, with the same key
        return Carried(
            [f"Transaction {executed.transaction_id}.", *_effects(executed)],
            page_of("accounts.account", executed.result["accounts"][0]["id"]),
        )

    def pages(self, command: dict[str, Any]) -> Sequence[tuple[str, str]]:
        found = Account.objects.filter(pk__in=self.touched(self.build(command))).order_by("owner", "pk")
        return [(account.owner, page_of("accounts.account", account.pk)) for account in found]


def _effects(executed: Executed) -> list[str]:
    """What each account comes to."""
    rows = {str(row.pk): row for row in Account.objects.filter(pk__in=[a["id"] for a in executed.result["accounts"]])}
    lines = []
    for account in executed.result["accounts"]:
        money = Money(account["balance"], account["currency"])
        available = format_minor(account["available"], account["currency"])
        owner = rows[account["id"]].owner if account["id"] in rows else "account"
        lines.append(
            f"{owner}, {account['id']}: balance {money}, available {available}, version {account['version']}."
        )
    return lines


class Reverse(_OfCommand):
    name = "reverse"
    title = "Reverse a transaction"
    permission = "accounts.reverse_transaction"
    kind = ReverseTransaction

    def headline(self, command: ReverseTransaction) -> list[str]:
        return [
            f"{Money(-posting.amount, posting.currency)} on account {account_id}, which undoes a posting."
            for account_id, posting in postings_of(command.transaction_id)
        ]

    def touched(self, command: Command) -> list[UUID]:
        assert isinstance(command, ReverseTransaction)
        return sorted({account_id for account_id, _ in postings_of(command.transaction_id)})


class ChangeOverdraft(_OfCommand):
    name = "change_overdraft_limit"
    title = "Change an overdraft limit"
    permission = "accounts.change_overdraft_limit"
    kind = ChangeOverdraftLimit

    def headline(self, command: ChangeOverdraftLimit) -> list[str]:
        account = Account.objects.filter(pk=command.account_id).first()
        before = format_minor(account.overdraft_limit, account.currency) if account else "none"
        return [f"Overdraft limit {command.limit}, in place of {before}."]


class _Movement(_OfCommand):
    """What is judged is the movement itself, not an account at rest: traffic on it meanwhile changes nothing, and
    whether there are the funds is found when it is carried out."""

    def versions(self, command: dict[str, Any]) -> dict[str, Any]:
        return {}

    def headline(self, command: Any) -> list[str]:
        return [f"{self.title}: {Money(minor, currency)}." for currency, minor in moved(command).items()]


class PayIn(_Movement):
    name, title, permission, kind = "deposit", "Deposit", "accounts.deposit", Deposit


class PayOut(_Movement):
    name, title, permission, kind = "withdraw", "Withdraw", "accounts.withdraw", Withdraw


class Move(_Movement):
    name, title, permission, kind = "transfer", "Transfer", "accounts.transfer", Transfer


class Capture(_Movement):
    name, title, permission, kind = "capture_hold", "Capture a hold", "accounts.capture_hold", CaptureHold


class Open(_Movement):
    name, title, permission, kind = "open", "Open an account", "accounts.open_account", OpenAccount


class Place(_Movement):
    name, title, permission, kind = "place_hold", "Place a hold", "accounts.place_hold", PlaceHold

    def headline(self, command: PlaceHold) -> list[str]:
        return [f"{self.title}: {command.amount}."]


class Extend(_Movement):
    name, title, permission, kind = "extend_hold", "Extend a hold", "accounts.place_hold", ExtendHold

    def headline(self, command: ExtendHold) -> list[str]:
        return [
            f"{self.title}: {command.amount} more, {Money(minor, currency)} in all."
            for currency, minor in reserved(command).items()
        ]


ACTIONS: tuple[type[SensitiveAction], ...] = (
    Reverse,
    ChangeOverdraft,
    PayIn,
    PayOut,
    Move,
    Capture,
    Open,
    Place,
    Extend,
)


def as_command(command: Command) -> dict[str, Any]:
    """What `build` reads."""
    return to_data(command)
