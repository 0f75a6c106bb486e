"""Interest: what each account was due for a month and how that comes about; and the rates."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin.cells import CURRENCY, account_link, account_url, amount, transaction_link
from accounts.admin.statement_page import day_field
from accounts.domain.errors import Refusal
from accounts.domain.interest import UNIT, Kind, booked, exact_sums, format_percent, parse_percent
from accounts.domain.money import exponent_of
from accounts.domain.products import PRODUCTS
from accounts.interest import spans_of
from accounts.models import Account, Interest, InterestRate
from accounts.services import interest
from accounts.services.interest_rates import SetInterestRate
from ops.admin.audited import reason_field
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter, id_filter
from ops.admin.managed import NotDone
from ops.admin.procedure import ByJob, Plan, Procedure, run
from ops.approvals.registry import CannotDo
from ops.html import NOTHING, badge, day, link, page_of, when

TONES = {Interest.Status.DUE: "warn", Interest.Status.BOOKED: "good", Interest.Status.LAPSED: "plain"}
MEANS = {
    Kind.EARNED: "The bank pays it for balances above zero.",
    Kind.OWED: "It is paid to the bank for balances below zero.",
}


def percent_field(label: str, **kwargs: Any) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return forms.CharField(label=label, max_length=10, widget=widget, **kwargs)


class RateForm(forms.Form):
    """What is cleaned is the command of `SetInterestRate`, and the reason."""

    product = forms.ChoiceField(
        label="Product", choices=[(p.code, p.name) for p in PRODUCTS.values()], widget=UnfoldAdminSelectWidget
    )
    currency = forms.CharField(label="Currency", max_length=3, widget=UnfoldAdminTextInputWidget())
    from_day = day_field("From this day on (UTC)")
    earned = percent_field("Earned, percent a year", help_text="For balances above zero, such as 2.5.")
    owed = percent_field("Owed, percent a year", help_text="For balances below zero; 0 where there can be none.")
    reason = reason_field()

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"].strip().upper()
        with _told_at_the_field():
            exponent_of(currency)
        return currency

    def clean_from_day(self) -> str:
        return str(self.cleaned_data["from_day"].isoformat())

    def clean_earned(self) -> int:
        with _told_at_the_field():
            return parse_percent(self.cleaned_data["earned"].strip(), field="earned")

    def clean_owed(self) -> int:
        with _told_at_the_field():
            return parse_percent(self.cleaned_data["owed"].strip(), field="owed")


@contextmanager
def _told_at_the_field() -> Iterator[None]:
    """A refusal of the domain, as an error of the field."""
    try:
        yield
    except Refusal as refusal:
        raise forms.ValidationError(refusal.message) from refusal


class SetRate(Procedure):
    action = SetInterestRate.name
    permission = SetInterestRate.permission
    button = "Set a rate"
    about = (
        "Accounts of a product earn and owe this from a day to come on. A rate is never altered: what was earned "
        "under it stays explained. Another one from the same day on takes its place, until that day begins."
    )
    command = "the page Interest rates"
    form = RateForm
    subject = "interest_rates"

    def two_persons(self, data: dict[str, Any]) -> str:
        return SetInterestRate.name

    def plan(self, data: dict[str, Any]) -> Plan:
        try:
            return Plan(SetInterestRate().preview(data))
        except CannotDo as error:
            raise NotDone(str(error)) from error


@admin.register(InterestRate)
class InterestRateAdmin(KeysetAdmin):
    about = (
        "What accounts of a product earn and owe, from which day on (UTC), the last set first. It takes two persons, "
        "and counts for days to come alone."
    )
    when_empty = "No rate was set yet, so no account earns or owes interest."
    keyset = BY_NUMBER
    columns = (
        Column("Product", lambda rate: rate.get_product_display()),
        Column("Currency", lambda rate: rate.currency),
        Column("From", lambda rate: day(rate.from_day)),
        Column("Earned a year", lambda rate: format_percent(rate.earned), numeric=True),
        Column("Owed a year", lambda rate: format_percent(rate.owed), numeric=True),
        Column("Set (UTC)", lambda rate: when(rate.set_at)),
        Column("Asked for by", lambda rate: rate.asked_by),
        Column("Approved by", lambda rate: rate.approved_by or NOTHING),
        Column("Why", lambda rate: rate.reason),
    )

    def get_urls(self) -> list[URLPattern]:
        """A row has no page: the list tells all of it."""
        mine = path("set/", self.admin_site.admin_view(self.set_view), name="accounts_interestrate_set")
        return [mine, *(url for url in super().get_urls() if url.name != "accounts_interestrate_change")]

    def set_view(self, request: HttpRequest) -> HttpResponse:
        return run(self, request, SetRate(), back=reverse("admin:accounts_interestrate_changelist"))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm(SetRate.permission)
        return {
            "tools": [{"label": SetRate.button, "url": reverse("admin:accounts_interestrate_set")}] if may else []
        }


class Book(ByJob):
    action = job = "book_interest"
    permission = "accounts.book_interest"
    button = "Book interest"
    about = (
        "Reckons the months that are over and were not, and books what is due. The scheduler does so every night; "
        "what is booked already is never booked again."
    )
    command = "manage.py book_interest"
    subject = "interest"

    def plan(self, data: dict[str, Any]) -> Plan:
        return Plan(interest.planned())


class InterestFilters(Filters):
    account = id_filter("Account")
    month = forms.RegexField(
        r"^[0-9]{4}-(0[1-9]|1[0-2])$",
        label="Month",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "month"}),
        error_messages={"invalid": "Write a month, such as 2026-01."},
    )
    show = choice_filter("Show", [("due", "What is due, oldest first")])

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        data = self.cleaned_data
        if data["account"]:
            queryset = queryset.filter(account_id=data["account"])
        if data["month"]:
            queryset = queryset.filter(month=f"{data['month']}-01")
        if data["show"]:
            queryset = queryset.filter(status=Interest.Status.DUE)
            keyset = Keyset(keyset.fields, keyset.parsers, descending=False)
        return queryset, keyset


def status_of(row: Interest) -> object:
    return badge(row.get_status_display(), TONES[Interest.Status(row.status)])


@admin.register(Interest)
class InterestAdmin(KeysetAdmin):
    about = (
        "What accounts earned and owed, month by month, and what became of it: it is reckoned when the month is "
        "over, and booked against the bank's account “interest”."
    )
    when_empty = "No month was reckoned yet for which there was a rate."
    object_template = "accounts/interest.html"
    keyset = BY_NUMBER
    filters = InterestFilters
    columns = (
        Column("Month", lambda row: link(page_of("accounts.interest", row.pk), f"{row.month:%Y-%m}")),
        Column("Account", lambda row: account_link(row.account_id)),
        Column("Kind", lambda row: row.get_kind_display()),
        Column("Amount", lambda row: amount(row.amount, row.currency), numeric=True),
        Column("Status", status_of),
        Column("Transaction", lambda row: transaction_link(row.transaction_id)),
        Column("Refused because", lambda row: row.message or NOTHING),
    )
    export_also = (CURRENCY,)

    def more_urls(self) -> list[URLPattern]:
        return [path("book/", self.admin_site.admin_view(self.book_view), name="accounts_interest_book")]

    def book_view(self, request: HttpRequest) -> HttpResponse:
        return run(self, request, Book(), back=reverse("admin:accounts_interest_changelist"))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm(Book.permission)
        return {"tools": [{"label": Book.button, "url": reverse("admin:accounts_interest_book")}] if may else []}

    def object_context(self, request: HttpRequest, obj: Interest) -> dict[str, Any]:
        """With the days, balances and rates that make it, as they are in the books now."""
        spans = [span for span in spans_of([obj.account_id], obj.month)[obj.account_id] if span.kind == obj.kind]
        columns = _span_columns(obj.currency)
        account = Account.objects.filter(pk=obj.account_id).first()
        exact = exact_sums(spans).get(Kind(obj.kind), 0)
        return {
            "title": f"{str(obj).capitalize()}: {account.owner if account else obj.account_id}",
            "facts": [
                ("Account", link(account_url(obj.account_id), account.owner if account else obj.account_id)),
                ("Month", f"{obj.month:%Y-%m}"),
                ("Kind", f"{obj.get_kind_display()}. {MEANS[Kind(obj.kind)]}"),
                ("Exactly", exactly(int(obj.exact), obj.currency)),
                ("Amount", amount(obj.amount, obj.currency)),
                ("Status", status_of(obj)),
                ("Transaction", transaction_link(obj.transaction_id)),
                ("Booked or lapsed (UTC)", when(obj.settled_at)),
                *([("Refused because", f"{obj.message} ({obj.code})")] if obj.message else []),
            ],
            "headings": columns,
            "rows": [[(column, column.cell(span)) for column in columns] for span in spans],
            "agrees": exact == obj.exact,
            "now": exactly(exact, obj.currency),
            "now_booked": amount(booked(exact), obj.currency),
        }


def _span_columns(currency: str) -> tuple[Column, ...]:
    return (
        Column("From", lambda span: day(span.since)),
        Column("Until", lambda span: day(span.until - timedelta(days=1))),
        Column("Days", lambda span: span.days, numeric=True),
        Column("Balance at their ends", lambda span: amount(span.balance, currency), numeric=True),
        Column("Rate a year", lambda span: format_percent(span.rate), numeric=True),
        Column("Interest", lambda span: exactly(span.exact, currency), numeric=True),
    )


def exactly(exact: int, currency: str) -> str:
    """With six more decimals than the currency has, cut off: for people who add up."""
    decimals = exponent_of(currency) + 6
    whole, rest = divmod(exact * 10**decimals // (UNIT * 10 ** exponent_of(currency)), 10**decimals)
    return f"{whole}.{rest:0{decimals}} {currency}"
