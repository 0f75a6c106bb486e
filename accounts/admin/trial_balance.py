"""The trial balance: the books of a day on one page, each figure with the journal behind it."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.admin.cells import amount
from accounts.admin.statement_page import day_field
from accounts.domain.errors import Refusal
from accounts.models import LedgerDay
from accounts.projections.ledger_days import CUSTOMERS
from accounts.trial_balance import CurrencyBooks, Entry, trial_balance
from ops.admin.lists import Column
from ops.admin.readonly import ReadOnlyAdmin
from ops.audit import viewings
from ops.html import badge, link


class DayForm(forms.Form):
    """The rules that days are held to are the trial balance's own."""

    day = day_field("Day (UTC)")


@admin.register(LedgerDay)
class TrialBalanceAdmin(ReadOnlyAdmin):
    """One page for each day, and none for a row."""

    def get_urls(self) -> list[URLPattern]:
        return [path("", self.admin_site.admin_view(self.changelist_view), name="accounts_ledgerday_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """`?day=`, today unless given."""
        if (refused := self.require_view(request)) is not None:
            return refused
        today = timezone.now().date()
        form = DayForm({"day": request.GET.get("day", today.isoformat())})
        context = {"title": "Trial balance", "form": form, "here": request.path}
        if form.is_valid():
            day = form.cleaned_data["day"]
            try:
                found = trial_balance(day)
            except Refusal as refusal:
                form.add_error(refusal.field, refusal.message)
            else:
                tables = [_table(books) for books in found.books]
                rows = sum(len(table["rows"]) for table in tables)
                viewings.note(request, what=self.opts.label_lower, filters={"day": day.isoformat()}, rows=rows)
                sums = badge("zero in every currency", "good") if found.is_balanced else badge("NOT zero", "bad")
                context |= {"found": found, "sums": sums, "books": tables, "days": _other_days(day, today)}
        return self.render(request, "accounts/trial_balance.html", context)


FIGURES = (("Before", "opening"), ("Debits", "debits"), ("Credits", "credits"), ("After", "closing"))


def _table(books: CurrencyBooks) -> dict[str, Any]:
    def figure(title: str, name: str) -> Column:
        return Column(title, lambda entry: amount(getattr(entry, name), books.currency), numeric=True)

    columns = (
        Column("Ledger account", _name),
        *(figure(*each) for each in FIGURES),
        Column("Lines", lambda entry: entry.lines, numeric=True),
    )
    return {
        "currency": books.currency,
        "headings": columns,
        "rows": [[(column, column.cell(entry)) for column in columns] for entry in (*books.entries, books.total)],
    }


def _name(entry: Entry) -> object:
    """With a link to what is behind it."""
    if not entry.ledger_account:
        return "Sum"
    if entry.ledger_account == CUSTOMERS:
        return link(reverse("admin:accounts_account_changelist"), "Customers, all accounts")
    journal = reverse("admin:accounts_journalline_changelist")
    return link(f"{journal}?{urlencode({'ledger': entry.ledger_account})}", entry.ledger_account)


def _other_days(day: date, today: date) -> list[dict[str, str]]:
    """Links to the days beside it, and to the last of the month before."""
    days = {
        "The day before": day - timedelta(days=1),
        "The day after": day + timedelta(days=1),
        "Last month's end": today.replace(day=1) - timedelta(days=1),
    }
    here = reverse("admin:accounts_ledgerday_changelist")
    return [{"label": label, "url": f"{here}?day={other}"} for label, other in days.items() if other <= today]
