"""A statement of some days, as a customer is given it: from the books, and to be printed."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import selectors
from accounts.admin.cells import amount, transaction_link
from accounts.admin.tabs import tabs, version_asked
from accounts.admin.timeline import in_words
from accounts.domain.errors import Refusal
from accounts.models import Account
from accounts.statement import Statement, statement
from eventstore.errors import BrokenHistory, EventStoreError
from ops.admin.lists import Column
from ops.html import day, when

PAGE = 200
COLUMNS = (
    Column("Recorded (UTC)", lambda row: when(row["recorded_at"])),
    Column("Value date", lambda row: day(row["value_date"])),
    Column("Kind", lambda row: in_words(row["kind"])),
    Column("Description", lambda row: row["description"] or "–"),
    Column("Transaction", lambda row: transaction_link(row["transaction_id"])),
    Column("Amount", lambda row: amount(row["amount"], row["currency"]), numeric=True),
    Column("Balance", lambda row: amount(row["balance"], row["currency"]), numeric=True),
)


def day_field(label: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        input_formats=["%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        error_messages=dict.fromkeys(("invalid", "required"), "Write a day, such as 2026-01-31."),
    )


class DaysForm(forms.Form):
    """Both included; the rules that days are held to are the statement's own."""

    field_order = ("from", "to")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields |= {"from": day_field("First day (UTC)"), "to": day_field("Last day (UTC)")}


def statement_context(request: HttpRequest, account: Account) -> dict[str, Any]:
    """`?from=` and `?to=`, this month unless given; `?after=` is the version behind which the postings begin."""
    today = timezone.now().date()
    months = {"This month": (today.replace(day=1), today), "Last month": _month_before(today)}
    asked = {name: request.GET[name] for name in ("from", "to") if name in request.GET}
    first, last = months["This month"]
    form = DaysForm(asked or {"from": first.isoformat(), "to": last.isoformat()})
    context = {
        "title": f"{account.owner} · statement",
        "account": account,
        "tabs": tabs(request, account.pk, "statement"),
        "form": form,
        "here": request.path,
        "months": [{"label": label, "url": _url(account.pk, *days)} for label, days in months.items()],
    }
    if not form.is_valid():
        return context
    try:
        found = statement(account.pk, form.cleaned_data["from"], form.cleaned_data["to"], None)
    except Refusal as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return context
    except (EventStoreError, BrokenHistory) as error:
        form.add_error(None, f"There is no statement of a broken history: {error}. The proof shows where it breaks.")
        return context
    return context | _shown(found, version_asked(request, "after"))


def _shown(found: Statement, after: int) -> dict[str, Any]:
    rows = list(found.postings().filter(version__gt=after)[: PAGE + 1])
    shown = [selectors.posting(row) for row in rows[:PAGE]]
    days = _url(found.account_id, found.first_day, found.last_day)
    return {
        "statement": found,
        "figures": [
            ("Balance before", amount(found.opening_balance, found.currency)),
            ("Credits", amount(found.credits, found.currency)),
            ("Debits", amount(found.debits, found.currency)),
            ("Balance after", amount(found.closing_balance, found.currency)),
        ],
        "headings": COLUMNS,
        "rows": [[(column, column.cell(row)) for column in COLUMNS] for row in shown],
        "first_url": days if after else "",
        "next_url": f"{days}&after={shown[-1]['version']}" if len(rows) > PAGE else "",
    }


def _month_before(today: date) -> tuple[date, date]:
    last = today.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def _url(account_id: UUID, first_day: date, last_day: date) -> str:
    return f"{reverse('admin:accounts_account_statement', args=[account_id])}?from={first_day}&to={last_day}"
