"""What commands look like on the wire, each with the scope it takes; `build` turns a body into the command."""

from typing import Any, ClassVar
from uuid import UUID

from msgspec import UNSET
from rest_framework import serializers

from accounts.api.fields import (
    AmountField,
    CurrencyField,
    FlagField,
    IdField,
    MomentField,
    StrictSerializer,
    TextField,
)
from accounts.api.scopes import ACCOUNTS_ADMIN, ACCOUNTS_WRITE, PAYMENTS_WRITE
from accounts.domain import commands as c
from accounts.domain.decide_holds import DEFAULT_HOLD, MAX_HOLD
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import Money, parse_decimal, parse_money
from accounts.domain.products import PRODUCTS
from accounts.domain.requirements import MAX_DESCRIPTION_LENGTH, MAX_OWNER_LENGTH
from eventstore.events import new_id

CONTRA_CHOICES = [c.InternalAccount.CASH.value, c.InternalAccount.CARDS.value, c.InternalAccount.WIRE.value]
"""Where API clients may book the other side. Fees and interest are the bank's own business."""


class CommandBody(StrictSerializer):
    """`name` is the command's in a batch; `subject` is the field or path parameter that says what it is about."""

    name: ClassVar[str]
    scope: ClassVar[str]
    subject: ClassVar[str | None] = "account_id"

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        """The command for validated `data`; `custodian` is in whose care a new account will be.

        Raises:
            Refusal: an amount or currency is not valid.
        """
        raise NotImplementedError

    def scopes(self, command: c.Command) -> set[str]:
        """All that the caller's key must be good for."""
        return {self.scope}


class OpenAccountBody(CommandBody):
    name = "open_account"
    scope = ACCOUNTS_WRITE
    subject = None

    owner = TextField(max_length=MAX_OWNER_LENGTH, help_text="Who owns the account.")
    currency = CurrencyField(help_text="ISO 4217 code. It never changes.")
    product = serializers.ChoiceField(choices=sorted(PRODUCTS), default="current")
    overdraft_limit = AmountField(default="0", help_text="Above zero it takes the scope accounts:admin too.")
    opening_deposit = AmountField(default="0", help_text="Above zero it takes the scope payments:write too.")
    contra = serializers.ChoiceField(choices=CONTRA_CHOICES, default="cash", help_text="Where a deposit comes from.")

    def build(self, subject: UUID | None, data: dict[str, Any], custodian: str) -> c.Command:
        currency = data["currency"]
        return c.OpenAccount(
            account_id=new_id(),
            owner=data["owner"],
            currency=currency,
            product=data["product"],
            overdraft_limit=parse_decimal(data["overdraft_limit"], currency, field="overdraft_limit"),
            opening_deposit=parse_decimal(data["opening_deposit"], currency, field="opening_deposit"),
            contra=c.InternalAccount(data["contra"]),
            custodian=custodian,
        )

    def scopes(self, command: c.Command) -> set[str]:
        assert isinstance(command, c.OpenAccount)
        extra = {ACCOUNTS_ADMIN} if command.overdraft_limit else set()
        return {self.scope} | extra | ({PAYMENTS_WRITE} if command.opening_deposit else set())


class MoneyBody(CommandBody):
    """The fields of every command that moves an amount."""

    scope = PAYMENTS_WRITE

    amount = AmountField(help_text="Decimal string above zero, with at most the currency's decimals.")
    currency = CurrencyField(help_text="ISO 4217 code of the account.")
    description = TextField(
        max_length=MAX_DESCRIPTION_LENGTH, default="", allow_blank=True, help_text="Shown on the statement."
    )

    def money(self, data: dict[str, Any]) -> Money:
        return parse_money(data["amount"], data["currency"])


class DepositBody(MoneyBody):
    name = "deposit"

    contra = serializers.ChoiceField(choices=CONTRA_CHOICES, default="cash", help_text="Where the money comes from.")

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.Deposit(subject, self.money(data), c.InternalAccount(data["contra"]), data["description"])


class WithdrawBody(MoneyBody):
    name = "withdraw"

    contra = serializers.ChoiceField(choices=CONTRA_CHOICES, default="cash", help_text="Where the money goes.")

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.Withdraw(subject, self.money(data), c.InternalAccount(data["contra"]), data["description"])


class TransferBody(MoneyBody):
    name = "transfer"

    target_account_id = IdField(help_text="The account that is paid. It may be anyone's.")

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.Transfer(subject, data["target_account_id"], self.money(data), data["description"])


class OverdraftLimitBody(CommandBody):
    name = "change_overdraft_limit"
    scope = ACCOUNTS_ADMIN

    overdraft_limit = AmountField(help_text="The new limit, zero or more.")
    currency = CurrencyField(help_text="ISO 4217 code of the account.")

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        limit = parse_decimal(data["overdraft_limit"], data["currency"], field="overdraft_limit")
        return c.ChangeOverdraftLimit(subject, Money(limit, data["currency"]))


class FreezeBody(CommandBody):
    name = "freeze"
    scope = ACCOUNTS_ADMIN

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.FreezeAccount(subject)


class UnfreezeBody(CommandBody):
    name = "unfreeze"
    scope = ACCOUNTS_ADMIN

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.UnfreezeAccount(subject)


class CloseBody(CommandBody):
    name = "close"
    scope = ACCOUNTS_WRITE

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.CloseAccount(subject)


class ReverseBody(CommandBody):
    name = "reverse"
    scope = ACCOUNTS_ADMIN
    subject = "transaction_id"

    description = TextField(
        max_length=MAX_DESCRIPTION_LENGTH, default="", allow_blank=True, help_text="Shown on the statement."
    )

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.ReverseTransaction(subject, data["description"])


class PlaceHoldBody(MoneyBody):
    name = "place_hold"

    contra = serializers.ChoiceField(
        choices=CONTRA_CHOICES, default="cards", help_text="Where a capture that names no account is booked."
    )
    expires_at = MomentField(
        required=False,
        help_text=f"Until when it lasts, at most {MAX_HOLD.days} days from now; {DEFAULT_HOLD.days} if not sent.",
    )

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.PlaceHold(
            subject,
            new_id(),
            self.money(data),
            c.InternalAccount(data["contra"]),
            data["description"],
            data.get("expires_at"),
        )


class HoldBody(CommandBody):
    """About a hold; an amount, where one is sent, comes with its currency."""

    scope = PAYMENTS_WRITE
    subject = "hold_id"

    @staticmethod
    def optional_money(data: dict[str, Any]) -> Money | None:
        for name, other in (("amount", "currency"), ("currency", "amount")):
            if name in data and other not in data:
                raise Refusal(ErrorCode.VALIDATION_FAILED, f"It must be sent beside {name}.", field=other)
        return parse_money(data["amount"], data["currency"]) if "amount" in data else None


CURRENCY_OF_AMOUNT = "ISO 4217 code of the account. It goes with the amount."


class CaptureHoldBody(HoldBody):
    name = "capture_hold"

    amount = AmountField(required=False, help_text="At most what the hold reserves; all of that if not sent.")
    currency = CurrencyField(required=False, help_text=CURRENCY_OF_AMOUNT)
    final = FlagField(default=True, help_text="Whether what is left is given up: else it may be captured later.")
    description = TextField(
        max_length=MAX_DESCRIPTION_LENGTH,
        default="",
        allow_blank=True,
        help_text="Shown on the statement; the hold's if not sent.",
    )
    target_account_id = IdField(
        required=False, help_text="The account that is paid. It may be anyone's; the hold's `contra` if not sent."
    )

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        target = data.get("target_account_id", UNSET)
        return c.CaptureHold(subject, self.optional_money(data), data["final"], data["description"], target)


class ExtendHoldBody(HoldBody):
    name = "extend_hold"

    amount = AmountField(required=False, help_text="What it reserves more; as much as before if not sent.")
    currency = CurrencyField(required=False, help_text=CURRENCY_OF_AMOUNT)
    expires_at = MomentField(
        required=False,
        help_text=f"Until when it lasts: later than before, at most {MAX_HOLD.days} days from now; as before if not "
        "sent.",
    )

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.ExtendHold(subject, self.optional_money(data), data.get("expires_at"))


class ReleaseHoldBody(HoldBody):
    name = "release_hold"

    amount = AmountField(required=False, help_text="At most what the hold reserves; all of that if not sent.")
    currency = CurrencyField(required=False, help_text=CURRENCY_OF_AMOUNT)

    def build(self, subject: UUID, data: dict[str, Any], custodian: str) -> c.Command:
        return c.ReleaseHold(subject, self.optional_money(data))


COMMAND_BODIES: tuple[type[CommandBody], ...] = (
    OpenAccountBody,
    DepositBody,
    WithdrawBody,
    TransferBody,
    OverdraftLimitBody,
    FreezeBody,
    UnfreezeBody,
    CloseBody,
    ReverseBody,
    PlaceHoldBody,
    CaptureHoldBody,
    ExtendHoldBody,
    ReleaseHoldBody,
)
