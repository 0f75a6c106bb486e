"""Which commands of staff take two persons, and how they are shown, pinned to versions and executed then."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from msgspec import convert

from accounts.domain.commands import (
    CaptureHold,
    ChangeOverdraftLimit,
    Command,
    Deposit,
    OpenAccount,
    ReverseTransaction,
    Transfer,
    Withdraw,
)
from accounts.domain.currencies import EXPONENTS
from accounts.domain.decide import touched_accounts
from accounts.domain.errors import PASSING, ErrorCode, Refusal
from accounts.domain.events import POSTING_TYPES, Posting, to_data
from accounts.domain.money import Money, format_minor, parse_decimal
from accounts.models import Account, Hold
from accounts.refusals import in_full
from accounts.services import day_limits
from accounts.services.day_limits import DayLimit
from accounts.services.envelope import Envelope, Executed, idempotency_key
from accounts.services.executor import execute_one, would_execute
from eventstore.errors import EventStoreError, OutcomeUnknown, StoreBusy
from eventstore.events import Context
from eventstore.models import Event
from eventstore.registry import decode
from ops.approvals.registry import Approved, CannotDo, Carried, SensitiveAction, Stale
from ops.conf import ConfigurationError, get_settings

SCOPE = "approval"
"""Scope of the idempotency keys: the key is the approval's id."""
Movement = Deposit | Withdraw | Transfer | CaptureHold | OpenAccount


# -- when


def second_person(command: Command, roles: Collection[str], actor: str) -> tuple[str | None, DayLimit | None]:
    """Why `actor`, a member of staff with these roles, may not give the command alone, None where they may; and what
    the executor is to hold them to then: others of their movements may be under way.

    Raises:
        StoreBusy: the database gave no answer in time.
    """
    settings = get_settings()
    if isinstance(command, ReverseTransaction):
        amounts = reversed_amounts(command.transaction_id)
        return _above(amounts, settings.approval_reversal_limits, roles, "Reversals"), None
    if isinstance(command, ChangeOverdraftLimit):
        limit = {command.limit.currency: command.limit.minor}
        return _above(limit, settings.approval_overdraft_limits, roles, "Overdraft limits"), None
    # Without any limit everybody moves money alone: unlike the others, which are for the few who may reverse at all.
    if isinstance(command, Movement) and settings.approval_movement_limits:
        return _moved_alone(command, settings.approval_movement_limits, roles, actor)
    return None, None


def _moved_alone(
    command: Movement, limits: dict[str, str], roles: Collection[str], actor: str
) -> tuple[str | None, DayLimit | None]:
    moved = _moved(command)
    if why := _above(moved, limits, roles, "Movements"):
        return why, None
    for currency, minor in moved.items():
        limit = _limit(limits, roles, currency)
        assert limit is not None, "else it is above"
        day_limit = day_limits.look_up(touched_accounts(command, holder=_holder(command)), actor, minor=limit)
        for account_id, before in day_limit.moved.items():
            if why := day_limits.why_two(day_limit, account_id, before.minor, minor, currency):
                return why, None
        return None, day_limit
    return None, None


def _moved(command: Movement) -> dict[str, int]:
    if isinstance(command, OpenAccount):
        return {command.currency: command.opening_deposit} if command.opening_deposit else {}
    if command.amount is None:  # a capture of whatever is held
        return {hold.currency: hold.held for hold in Hold.objects.filter(pk=command.hold_id)}
    return {command.amount.currency: command.amount.minor}


def _above(amounts: dict[str, int], limits: dict[str, str], roles: Collection[str], what: str) -> str | None:
    for currency, minor in amounts.items():
        limit = _limit(limits, roles, currency)
        if limit is None:
            return f"{what} in {currency} take a second person."
        if minor > limit:
            told, this = format_minor(limit, currency), format_minor(minor, currency)
            return f"{what} above {told} {currency} take a second person; this one is {this}."
    return None


def _limit(limits: dict[str, str], roles: Collection[str], currency: str) -> int | None:
    """In minor units. The highest of all the roles counts, in each currency; a currency without one has none."""
    own = [limits[f"{role}:{currency}"] for role in roles if f"{role}:{currency}" in limits]
    return max((parse_decimal(limit, currency) for limit in own), default=None)


def _holder(command: Command) -> UUID | None:
    if not isinstance(command, CaptureHold):
        return None
    return Hold.objects.filter(pk=command.hold_id).values_list("account_id", flat=True).first()


def reversed_amounts(transaction_id: UUID) -> dict[str, int]:
    """How much a transaction moved, by currency: what was credited or what was debited, whichever is more."""
    sums: dict[tuple[str, bool], int] = {}
    for _, posting in _postings(transaction_id):
        side = (posting.currency, posting.amount >= 0)
        sums[side] = sums.get(side, 0) + abs(posting.amount)
    amounts: dict[str, int] = {}
    for (currency, _), total in sums.items():
        amounts[currency] = max(amounts.get(currency, 0), total)
    return amounts


def _postings(transaction_id: UUID) -> list[tuple[UUID, Posting]]:
    events = Event.objects.filter(command_id=transaction_id, event_type__in=POSTING_TYPES).order_by("position")
    return [
        (row.aggregate_id, decode(row.aggregate_type, row.event_type, row.schema_version, row.data)) for row in events
    ]


def require_sound_limits(roles: Collection[str]) -> None:
    """For the start.

    Raises:
        ConfigurationError: a limit names a role or currency that there is not, or an amount that is none.
    """
    for name in ("approval_reversal_limits", "approval_overdraft_limits", "approval_movement_limits"):
        for key, amount in getattr(get_settings(), name).items():
            role, _, currency = key.partition(":")
            why = ""
            if role not in roles:
                why = f"there is no role {role}; there are: {', '.join(sorted(roles))}"
            elif currency not in EXPONENTS:
                why = f"{currency} is no ISO 4217 currency"
            elif -int(Decimal(amount).as_tuple().exponent) > EXPONENTS[currency]:
                why = f"{currency} has {EXPONENTS[currency]} decimals, and {amount} has more"
            if why:
                raise ConfigurationError(f"bankes does not start: {name.upper()} is {key}={amount}: {why}.")


# -- how


class _OfCommand(SensitiveAction):
    """A command of the executor. Its JSON is its fields, amounts in minor units with their currency."""

    def build(self, command: dict[str, Any]) -> Command:
        raise NotImplementedError

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

    def versions(self, command: dict[str, Any]) -> dict[str, Any]:
        ids = self.touched(self.build(command))
        found = dict(Account.objects.filter(pk__in=ids).values_list("pk", "version"))
        return {str(account_id): found.get(account_id, 0) for account_id in ids}

    def touched(self, command: Command) -> list[UUID]:
        return list(touched_accounts(command))

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
            kind = Stale if refusal.code is ErrorCode.VERSION_MISMATCH else CannotDo
            raise kind(in_full(refusal)) from refusal
        except (StoreBusy, OutcomeUnknown):
            raise  # it is tried again, with the same key
        return Carried([f"Transaction {executed.transaction_id}.", *_effects(executed)], self.url(executed))

    def url(self, executed: Executed) -> str:
        from django.urls import reverse

        return reverse("admin:accounts_account_change", args=[executed.result["accounts"][0]["id"]])


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

    def build(self, command: dict[str, Any]) -> ReverseTransaction:
        return ReverseTransaction(UUID(command["transaction_id"]), command["description"])

    def headline(self, command: ReverseTransaction) -> list[str]:
        return [
            f"{Money(-posting.amount, posting.currency)} on account {account_id}, which undoes a posting."
            for account_id, posting in _postings(command.transaction_id)
        ]

    def touched(self, command: Command) -> list[UUID]:
        assert isinstance(command, ReverseTransaction)
        return sorted({account_id for account_id, _ in _postings(command.transaction_id)})


class ChangeOverdraft(_OfCommand):
    name = "change_overdraft_limit"
    title = "Change an overdraft limit"
    permission = "accounts.change_overdraft_limit"

    def build(self, command: dict[str, Any]) -> ChangeOverdraftLimit:
        limit = command["limit"]
        return ChangeOverdraftLimit(UUID(command["account_id"]), Money(limit["minor"], limit["currency"]))

    def headline(self, command: ChangeOverdraftLimit) -> list[str]:
        account = Account.objects.filter(pk=command.account_id).first()
        before = format_minor(account.overdraft_limit, account.currency) if account else "none"
        return [f"Overdraft limit {command.limit}, in place of {before}."]


class _Movement(_OfCommand):
    """What is judged is the movement itself, not an account at rest: traffic on it meanwhile changes nothing, and
    whether there are the funds is found when it is carried out."""

    kind: ClassVar[type[Command]]

    def build(self, command: dict[str, Any]) -> Command:
        return convert(command, self.kind)

    def versions(self, command: dict[str, Any]) -> dict[str, Any]:
        return {}

    def headline(self, command: Any) -> list[str]:
        return [f"{self.title}: {Money(minor, currency)}." for currency, minor in _moved(command).items()]


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


ACTIONS: tuple[type[SensitiveAction], ...] = (Reverse, ChangeOverdraft, PayIn, PayOut, Move, Capture, Open)


def as_command(command: Command) -> dict[str, Any]:
    """What `build` reads."""
    return to_data(command)
