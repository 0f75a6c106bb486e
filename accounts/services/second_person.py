"""When a command of staff takes two persons: by the limits of roles, in the settings."""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from accounts.domain.commands import (
    ON_A_HOLD,
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
from accounts.domain.currencies import EXPONENTS
from accounts.domain.decide import touched_accounts
from accounts.domain.events import POSTING_TYPES, Posting
from accounts.domain.money import format_minor, parse_decimal
from accounts.models import Hold
from accounts.services import day_limits
from accounts.services.day_limits import DayLimit
from eventstore.models import Event
from eventstore.registry import decode
from ops.conf import ConfigurationError, get_settings

Movement = Deposit | Withdraw | Transfer | CaptureHold | OpenAccount
Reservation = PlaceHold | ExtendHold


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
    if isinstance(command, Reservation) and settings.approval_movement_limits:
        return _above(reserved(command), settings.approval_movement_limits, roles, "Holds"), None
    return None, None


def _moved_alone(
    command: Movement, limits: dict[str, str], roles: Collection[str], actor: str
) -> tuple[str | None, DayLimit | None]:
    amounts = moved(command)
    if why := _above(amounts, limits, roles, "Movements"):
        return why, None
    for currency, minor in amounts.items():
        limit = _limit(limits, roles, currency)
        assert limit is not None, "else it is above"
        day_limit = day_limits.look_up(touched_accounts(command, holder=holder_of(command)), actor, minor=limit)
        for account_id, before in day_limit.moved.items():
            if why := day_limits.why_two(day_limit, account_id, before.minor, minor, currency):
                return why, None
        return None, day_limit
    return None, None


def moved(command: Movement) -> dict[str, int]:
    """How much it moves, by currency, in minor units."""
    if isinstance(command, OpenAccount):
        return {command.currency: command.opening_deposit} if command.opening_deposit else {}
    if command.amount is None:  # a capture of whatever is held
        return {hold.currency: hold.held for hold in Hold.objects.filter(pk=command.hold_id)}
    return {command.amount.currency: command.amount.minor}


def reserved(command: Reservation) -> dict[str, int]:
    """What the hold reserves then, by currency: it can be captured at once. Nothing where it only lasts longer."""
    more = command.amount
    if more is None:
        return {}
    if isinstance(command, PlaceHold):
        return {more.currency: more.minor}
    return {more.currency: sum(hold.held for hold in Hold.objects.filter(pk=command.hold_id)) + more.minor}


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


def holder_of(command: Command) -> UUID | None:
    """The account of the hold that it names."""
    if not isinstance(command, ON_A_HOLD):
        return None
    return Hold.objects.filter(pk=command.hold_id).values_list("account_id", flat=True).first()


def reversed_amounts(transaction_id: UUID) -> dict[str, int]:
    """How much a transaction moved, by currency: between two accounts it is the same on either side."""
    amounts: dict[str, int] = {}
    for _, posting in postings_of(transaction_id):
        amounts[posting.currency] = max(amounts.get(posting.currency, 0), abs(posting.amount))
    return amounts


def postings_of(transaction_id: UUID) -> list[tuple[UUID, Posting]]:
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
