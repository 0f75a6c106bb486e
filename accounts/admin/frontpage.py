"""The admin's first page: whether the bank is well, how much there is, where to go, what happened last."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from accounts.admin.cells import amount
from accounts.models import Account, Transaction
from accounts.turnover import SOURCE_PREFIX, midnight
from eventstore.admin.events import EventAdmin
from eventstore.models import Event
from ops.admin.keyset import size_of
from ops.html import when
from ops.overview import state_of_the_bank
from ops.trends import latest

LATEST = 10

FIGURES: tuple[tuple[str, type[Model], str, str], ...] = (
    ("Accounts", Account, "accounts.view_account", "admin:accounts_account_changelist"),
    ("Postings", Transaction, "accounts.view_transaction", "admin:accounts_transaction_changelist"),
    ("Events", Event, "eventstore.view_event", "admin:eventstore_event_changelist"),
)


def front_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For UNFOLD's DASHBOARD_CALLBACK. Large counts are estimates: the page costs the same at any size."""
    context["figures"] = [
        {"name": name, "size": size_of(model), "url": reverse(url)}
        for name, model, permission, url in FIGURES
        if request.user.has_perm(permission)
    ]
    context["state"] = state_of_the_bank(request)
    context["turnover"] = turnover_today(request)
    context["open_url"] = reverse("admin:accounts_account_open") if _may(request, "accounts.open_account") else None
    if _may(request, "eventstore.view_event"):
        events = Event.objects.order_by("-position").defer(*EventAdmin.deferred)[:LATEST]
        context["event_headings"] = EventAdmin.columns
        context["events"] = [[(column, column.cell(event)) for column in EventAdmin.columns] for event in events]
    return context


def turnover_today(request: HttpRequest) -> list[tuple[str, object, object, object]]:
    """By currency: what came in, what went out, and as of when; from the last sample of today."""
    if not _may(request, "accounts.view_transaction"):
        return []
    at, figures = latest(SOURCE_PREFIX, since=midnight())
    currencies = sorted({name.rpartition(":")[2] for name in figures})
    return [
        (
            currency,
            amount(int(figures.get(f"{SOURCE_PREFIX}in:{currency}", 0)), currency),
            amount(-int(figures.get(f"{SOURCE_PREFIX}out:{currency}", 0)), currency),
            when(at),
        )
        for currency in currencies
    ]


def _may(request: HttpRequest, permission: str) -> bool:
    return bool(request.user.has_perm(permission))
