"""Forms of commands. They turn words into a command; whether it may happen is the executor's word.

Hidden in each is the idempotency key, made when the form is shown, so that a form sent twice has one effect; and
the version of the account that it was shown for, so that staff decide on what they saw, except where that does not
matter (`on_what_was_seen`).
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.core.validators import MaxValueValidator
from django.http import QueryDict
from msgspec import UNSET
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin.commands.subject import Subject
from accounts.domain import commands as c
from accounts.domain.currencies import EXPONENTS
from accounts.domain.decide_holds import DEFAULT_HOLD, MAX_HOLD
from accounts.domain.money import Money, format_minor, parse_decimal, parse_money
from accounts.domain.products import PRODUCTS
from accounts.domain.requirements import MAX_DESCRIPTION_LENGTH, MAX_OWNER_LENGTH
from eventstore.events import new_id
from ops.admin.audited import reason_field

CONTRA_NAMES = {
    c.InternalAccount.CASH: "Cash",
    c.InternalAccount.CARDS: "Cards",
    c.InternalAccount.WIRE: "Wire transfer",
    c.InternalAccount.FEES: "Fees",
    c.InternalAccount.INTEREST: "Interest",
}


def text_widget(**attrs: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **attrs})


def amount_field(label: str = "Amount", **kwargs: Any) -> forms.CharField:
    return forms.CharField(label=label, max_length=40, widget=text_widget(inputmode="decimal"), **kwargs)


def description_field() -> forms.CharField:
    return forms.CharField(
        label="Description",
        required=False,
        max_length=MAX_DESCRIPTION_LENGTH,
        widget=text_widget(),
        help_text="Stands on the statement.",
    )


def contra_field(label: str, initial: c.InternalAccount = c.InternalAccount.CASH) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        initial=initial.value,
        choices=[(k.value, name) for k, name in CONTRA_NAMES.items()],
        widget=UnfoldAdminSelectWidget,
    )


def payee_field(help_text: str, **kwargs: Any) -> forms.UUIDField:
    return forms.UUIDField(
        label="To account",
        widget=text_widget(),
        help_text=help_text,
        error_messages={"invalid": "Write the whole account id, such as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b."},
        **kwargs,
    )


def last_day_field(*more: str, **kwargs: Any) -> forms.DateField:
    about = f"It is given up by itself at the end of this day (UTC), at most {MAX_HOLD.days} days from now."
    return forms.DateField(
        label="Last day",
        validators=[  # `end_of` needs the day after it; what is too late otherwise is for the rules to say
            MaxValueValidator(date.max - timedelta(days=1), f"Choose a day in the next {MAX_HOLD.days} days.")
        ],
        widget=text_widget(type="date"),
        help_text=" ".join((about, *more)),
        **kwargs,
    )


def end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


class CommandForm(forms.Form):
    """Base of all of them. `refusal_fields` names the form's field for a field that a refusal may name."""

    refusal_fields: dict[str, str] = {}
    on_what_was_seen = True
    """Whether it counts for the version that was shown alone: an amount is chosen by the balance beside it, and a
    limit, a closing and a reversal are judged by what the account is. False for what is as right after any other
    movement: an account with steady traffic could not be frozen else."""
    touches_others = False
    """Whether other accounts than the form's move with it. Then a refusal names the one that it is about, and what
    each would come to is seen before it is done: an id that was typed says nothing of whose it is."""

    idempotency_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    expected_version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    reason = reason_field()
    field_order: Any = None

    def __init__(self, subject: Subject, data: QueryDict | None = None) -> None:
        super().__init__(None if data is None else data.dict())
        self.subject = subject
        if subject.account is None or not self.on_what_was_seen:
            del self.fields["expected_version"]
        else:
            seen = self.fields["expected_version"]
            seen.initial = subject.account.version
            # What else is read of the account is of this version or a later one. Nobody has seen a later one yet.
            seen.validators.append(MaxValueValidator(subject.account.version))
        if subject.account is not None:
            self.word_amounts(subject.account.currency)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def word_amounts(self, currency: str) -> None:
        """Says which currency the amounts are in, and how they are written."""
        for name in ("amount", "limit"):
            if name in self.fields:
                field = self.fields[name]
                field.label = f"{field.label} in {currency}"
                field.help_text = f"Digits with a point and no grouping, such as {format_minor(123456, currency)}."

    def show_anew(self, **values: object) -> None:
        """Puts other values into hidden fields of a form that was sent, for its next sending."""
        self.data = {**self.data, **{name: str(value) for name, value in values.items()}}

    def command(self) -> c.Command:
        """What the form asks for. Called with valid `cleaned_data`.

        Raises:
            Refusal: an amount is not one.
        """
        raise NotImplementedError


class AccountForm(CommandForm):
    """A command on one account, which is there."""

    @property
    def account(self) -> Any:
        return self.subject.account

    def money(self, name: str = "amount") -> Money:
        return parse_money(self.cleaned_data[name], self.account.currency, field=name)


class DepositForm(AccountForm):
    amount = amount_field()
    contra = contra_field("Came in by")
    description = description_field()

    def command(self) -> c.Command:
        contra = c.InternalAccount(self.cleaned_data["contra"])
        return c.Deposit(self.account.pk, self.money(), contra, self.cleaned_data["description"])


class WithdrawForm(AccountForm):
    amount = amount_field()
    contra = contra_field("Goes out by")
    description = description_field()

    def command(self) -> c.Command:
        contra = c.InternalAccount(self.cleaned_data["contra"])
        return c.Withdraw(self.account.pk, self.money(), contra, self.cleaned_data["description"])


class TransferForm(AccountForm):
    touches_others = True

    target_account_id = payee_field("The id of the account that receives the money, as its page shows it.")
    amount = amount_field()
    description = description_field()

    def command(self) -> c.Command:
        data = self.cleaned_data
        return c.Transfer(self.account.pk, data["target_account_id"], self.money(), data["description"])


class PlaceHoldForm(AccountForm):
    """Its end is a day that stands on the form: sent twice, it asks for the same."""

    refusal_fields = {"expires_at": "last_day"}

    amount = amount_field()
    contra = contra_field("A capture goes out by", c.InternalAccount.CARDS)
    last_day = last_day_field(initial=lambda: datetime.now(UTC).date() + DEFAULT_HOLD)
    description = description_field()

    def command(self) -> c.Command:
        data = self.cleaned_data
        contra = c.InternalAccount(data["contra"])
        end = end_of(data["last_day"])
        return c.PlaceHold(self.account.pk, new_id(), self.money(), contra, data["description"], end)


class HoldForm(AccountForm):
    """A command on a hold, which is there."""

    @property
    def hold(self) -> Any:
        return self.subject.hold


class CaptureHoldForm(HoldForm):
    amount = amount_field()
    rest = forms.ChoiceField(
        label="What is left of it",
        choices=[("given up", "Is given up"), ("kept", "Stays held")],
        widget=UnfoldAdminSelectWidget,
    )
    target_account_id = payee_field("The id of the account that receives the money.", required=False)
    description = description_field()

    def __init__(self, subject: Subject, data: QueryDict | None = None) -> None:
        super().__init__(subject, data)
        self.fields["amount"].initial = format_minor(self.hold.held, self.hold.currency)
        contra = CONTRA_NAMES[c.InternalAccount(self.hold.contra.partition(":")[0])]
        self.fields["target_account_id"].help_text += f" Empty: it goes out by {contra}."

    def clean(self) -> None:
        self.touches_others = self.cleaned_data.get("target_account_id") is not None

    def command(self) -> c.Command:
        data = self.cleaned_data
        is_final, target = data["rest"] == "given up", data["target_account_id"] or UNSET
        return c.CaptureHold(self.hold.pk, self.money(), is_final, data["description"], target)


class ExtendHoldForm(HoldForm):
    refusal_fields = {"expires_at": "last_day"}

    amount = amount_field("More, by", required=False)
    last_day = last_day_field("Its end stays as it is where none is given.", required=False)

    def command(self) -> c.Command:
        data = self.cleaned_data
        end = end_of(data["last_day"]) if data["last_day"] else None
        return c.ExtendHold(self.hold.pk, self.money() if data["amount"] else None, end)


class ReleaseHoldForm(HoldForm):
    on_what_was_seen = False

    amount = amount_field(required=False)

    def __init__(self, subject: Subject, data: QueryDict | None = None) -> None:
        super().__init__(subject, data)
        self.fields["amount"].help_text += " All that is held where none is given."

    def command(self) -> c.Command:
        return c.ReleaseHold(self.hold.pk, self.money() if self.cleaned_data["amount"] else None)


class OverdraftLimitForm(AccountForm):
    refusal_fields = {"overdraft_limit": "limit"}

    limit = amount_field("New limit")

    def command(self) -> c.Command:
        currency = self.account.currency
        minor = parse_decimal(self.cleaned_data["limit"], currency, field="limit")
        return c.ChangeOverdraftLimit(self.account.pk, Money(minor, currency))


class FreezeForm(AccountForm):
    on_what_was_seen = False

    def command(self) -> c.Command:
        return c.FreezeAccount(self.account.pk)


class UnfreezeForm(AccountForm):
    on_what_was_seen = False

    def command(self) -> c.Command:
        return c.UnfreezeAccount(self.account.pk)


class CloseForm(AccountForm):
    def command(self) -> c.Command:
        return c.CloseAccount(self.account.pk)


class ReverseForm(CommandForm):
    touches_others = True

    description = description_field()

    def command(self) -> c.Command:
        assert self.subject.transaction_id is not None
        return c.ReverseTransaction(self.subject.transaction_id, self.cleaned_data["description"])


class OpenForm(CommandForm):
    """Without an overdraft: a limit is changed afterwards, by those who may and under the rule of two persons."""

    owner = forms.CharField(label="Owner", max_length=MAX_OWNER_LENGTH, widget=text_widget())
    currency = forms.ChoiceField(
        label="Currency",
        initial="EUR",
        choices=[(code, code) for code in sorted(EXPONENTS)],
        widget=UnfoldAdminSelectWidget,
    )
    product = forms.ChoiceField(
        label="Product", choices=[(p.code, p.name) for p in PRODUCTS.values()], widget=UnfoldAdminSelectWidget
    )
    opening_deposit = amount_field(
        "Opening deposit", initial="0", help_text="What is paid in at once, in cash; 0 for nothing."
    )

    def command(self) -> c.Command:
        data = self.cleaned_data
        return c.OpenAccount(
            account_id=new_id(),
            owner=data["owner"],
            currency=data["currency"],
            product=data["product"],
            opening_deposit=parse_decimal(data["opening_deposit"], data["currency"], field="opening_deposit"),
        )
