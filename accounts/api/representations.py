"""What the API answers with. Amounts are decimal strings, times are UTC."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.fields import MinorUnitsField
from accounts.cache import AccountView
from accounts.domain.account import Status
from accounts.domain.events import EVENT_CLASSES, POSTING_TYPES
from accounts.domain.holds import HoldStatus
from accounts.domain.money import format_minor
from accounts.domain.products import PRODUCTS
from accounts.selectors import readable_event


class TimeField(serializers.DateTimeField):
    """A moment in UTC, also from the text that an idempotency record keeps."""

    def to_representation(self, value: Any) -> str:
        return moment_text(value)


class AccountSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    owner = serializers.CharField()
    currency = serializers.CharField()
    product = serializers.ChoiceField(choices=sorted(PRODUCTS))
    custodian = serializers.CharField(help_text="In whose care the account is: client:<name>, or bank.")
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    balance = MinorUnitsField(help_text="Ledger balance.")
    available = MinorUnitsField(help_text="What may be spent now: balance and overdraft less what is held.")
    held = MinorUnitsField(help_text="Reserved, and not yet booked.")
    overdraft_limit = MinorUnitsField()
    version = serializers.IntegerField(help_text="Number of its events; the ETag.")
    opened_at = TimeField()
    updated_at = TimeField()


class BalanceSerializer(serializers.Serializer[Any]):
    """Takes a state of `accounts.domain`, and `as_of` from the context."""

    account_id = serializers.UUIDField(source="id")
    currency = serializers.CharField()
    balance = MinorUnitsField(help_text="Ledger balance.")
    available = MinorUnitsField()
    held = MinorUnitsField()
    overdraft_limit = MinorUnitsField()
    version = serializers.IntegerField(help_text="The account's version at that moment.")
    as_of = serializers.SerializerMethodField(help_text="The moment that was asked for, or of the answer.")

    @extend_schema_field({"type": "string", "format": "date-time"})
    def get_as_of(self, _: Any) -> str:
        return TimeField().to_representation(self.context["as_of"])


class EventSerializer(serializers.Serializer[Any]):
    """Takes a row of the books, and `currency` from the context."""

    id = serializers.UUIDField(source="event_id")
    type = serializers.ChoiceField(choices=sorted(EVENT_CLASSES), source="event_type")
    version = serializers.IntegerField()
    data = serializers.SerializerMethodField(  # type: ignore[assignment]  # declared fields hide nothing in DRF
        help_text="The facts of the event; amounts are decimal strings."
    )
    recorded_at = TimeField(source="timestamp")
    transaction_id = serializers.UUIDField(source="command_id", help_text="The command that led to it.")
    hash = serializers.SerializerMethodField(help_text="SHA-256 over the event and the hash of the one before it.")

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_data(self, stored: Any) -> dict[str, Any]:
        return readable_event(stored, self.context["currency"])

    @extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{64}$"})
    def get_hash(self, stored: Any) -> str:
        return bytes(stored.hash).hex()


class WebhookEventSerializer(EventSerializer):
    """An event as a webhook gets it: the body of the request, beside the headers Bankes-*."""

    hash = None  # type: ignore[assignment]  # not sent
    recorded_at = None  # type: ignore[assignment]
    occurred_at = TimeField(source="timestamp")
    account_id = serializers.UUIDField(source="aggregate_id")


class PostingSerializer(serializers.Serializer[Any]):
    """One posting of one account, as on a statement."""

    transaction_id = serializers.UUIDField()
    account_id = serializers.UUIDField()
    version = serializers.IntegerField(help_text="The account's version that the posting made.")
    kind = serializers.ChoiceField(choices=sorted(POSTING_TYPES))
    amount = MinorUnitsField(help_text="As the account sees it: negative is a debit.")
    currency = serializers.CharField()
    balance = MinorUnitsField(help_text="Ledger balance after the posting.")
    contra = serializers.CharField(help_text="Where the other side is booked: cash:EUR, or account:<id>.")
    description = serializers.CharField(allow_blank=True)
    value_date = serializers.DateField()
    recorded_at = TimeField()
    reverses = serializers.UUIDField(allow_null=True, help_text="The transaction that this posting undoes.")
    hold_id = serializers.UUIDField(required=False, help_text="The hold that it captured, where it did.")


class TransactionSerializer(serializers.Serializer[Any]):
    """A command that moved money: its postings on accounts in the caller's care."""

    id = serializers.UUIDField()
    recorded_at = TimeField()
    reversed_by = serializers.UUIDField(allow_null=True)
    postings = PostingSerializer(many=True)


class AccountAfterSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(choices=[status.value for status in Status])
    currency = serializers.CharField()
    balance = MinorUnitsField()
    available = MinorUnitsField()


class HoldSerializer(serializers.Serializer[Any]):
    """Takes a row of `accounts.models.Hold`, or a hold as a command's result tells it."""

    id = serializers.UUIDField()
    account_id = serializers.UUIDField()
    status = serializers.ChoiceField(
        choices=[status.value for status in HoldStatus], help_text="`open`, or what ended it."
    )
    currency = serializers.CharField()
    amount = MinorUnitsField(help_text="What was reserved in all, extensions included.")
    captured = MinorUnitsField(help_text="What of it is booked.")
    released = MinorUnitsField(help_text="What of it was given up.")
    held = MinorUnitsField(help_text="What it still reserves.")
    contra = serializers.CharField(help_text="Where a capture that names no account is booked: cards:EUR.")
    description = serializers.CharField(allow_blank=True)
    placed_at = TimeField()
    expires_at = TimeField(help_text="It cannot be captured from then on, and is given up within minutes.")
    closed_at = TimeField(allow_null=True)
    version = serializers.IntegerField(help_text="The account's version that placing it made.")


@lru_cache(maxsize=256)  # all that happened in one transaction tell the same
def moment_text(value: Any) -> str:
    """A moment in UTC, also from the text that an idempotency record keeps."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def command_result(result: dict[str, Any]) -> dict[str, Any]:
    """The answer of a command, as `CommandResultSerializer` documents it: a pure function of `Executed.result`, so
    that a repeated request gets it again, byte for byte."""
    told = {
        "transaction_id": result["transaction_id"],
        "recorded_at": moment_text(result["recorded_at"]),
        "accounts": [
            {
                "id": account["id"],
                "version": account["version"],
                "status": account["status"],
                "currency": account["currency"],
                "balance": format_minor(account["balance"], account["currency"]),
                "available": format_minor(account["available"], account["currency"]),
            }
            for account in result["accounts"]
        ],
    }
    return told | {"hold": HoldSerializer(result["hold"]).data} if "hold" in result else told


def balance_now(account: AccountView, as_of: datetime) -> dict[str, Any]:
    """A balance as `BalanceSerializer` documents it."""
    return {
        "account_id": str(account.id),
        "currency": account.currency,
        "balance": format_minor(account.balance, account.currency),
        "available": format_minor(account.available, account.currency),
        "held": format_minor(account.held, account.currency),
        "overdraft_limit": format_minor(account.overdraft_limit, account.currency),
        "version": account.version,
        "as_of": moment_text(as_of),
    }


class CommandResultSerializer(serializers.Serializer[Any]):
    """What a command did: `command_result` makes it."""

    transaction_id = serializers.CharField()
    recorded_at = TimeField()
    accounts = AccountAfterSerializer(many=True, help_text="As the command left them; its own account comes first.")
    hold = HoldSerializer(required=False, help_text="As the command left it, where the command is about one.")


@extend_schema_field({"$ref": "#/components/schemas/ErrorCode"})
class CodeField(serializers.CharField):
    """One of the published codes; `openapi.publish_codes` lists them."""


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = CodeField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details. Some codes add facts of their own, such as `available`."""

    type = serializers.CharField(help_text="URI of the code: where it is explained.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = CodeField(help_text="Stable: decide on this.")
    detail = serializers.CharField()
    instance = serializers.CharField(required=False, help_text="Path of the request.")
    request_id = serializers.CharField(required=False, help_text="Names the request in the bank's log.")
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class PageSerializer(serializers.Serializer[Any]):
    """What every page carries beside its `results`."""

    next = serializers.CharField(allow_null=True, help_text="Path and query of the next page; null on the last.")
    next_cursor = serializers.CharField(allow_null=True, help_text="The `cursor` of the next page.")


class AccountPageSerializer(PageSerializer):
    results = AccountSerializer(many=True)


class EventPageSerializer(PageSerializer):
    results = EventSerializer(many=True)


class StatementSerializer(PageSerializer):
    """One page of a statement's postings, and the statement. Takes an `accounts.statement.Statement`."""

    account_id = serializers.UUIDField()
    owner = serializers.CharField()
    currency = serializers.CharField()
    first_day = serializers.DateField(help_text="As asked for by `from`; days are UTC days.")
    last_day = serializers.DateField(help_text="As asked for by `to`.")
    opening_balance = MinorUnitsField(help_text="Ledger balance before the first day.")
    credits = MinorUnitsField(help_text="Sum of what came in, on all pages.")
    debits = MinorUnitsField(help_text="Sum of what went out, on all pages: zero or less.")
    closing_balance = MinorUnitsField(help_text="Opening balance, credits and debits together.")
    posting_count = serializers.IntegerField(help_text="How many postings there are on all pages.")
    closing_version = serializers.IntegerField(help_text="The account's version at the end.")
    closing_hash = serializers.CharField(
        help_text="The hash of the last event until the end: it stands for all that had happened on the account."
    )
    is_final = serializers.BooleanField(
        help_text="Whether the last day is over and nothing can be added: then the statement stays as it is."
    )
    results = PostingSerializer(many=True)


class HoldPageSerializer(PageSerializer):
    results = HoldSerializer(many=True)


class PostingPageSerializer(PageSerializer):
    results = PostingSerializer(many=True)
    as_of_version = serializers.IntegerField(
        help_text="The list follows the books with a short delay: it holds all postings up to this account version. "
        "A posting of yours is in it once this reaches the version that the command answered with."
    )
