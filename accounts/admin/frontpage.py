"""The admin's first page: how much there is, where to go, what happened last."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import Account, Transaction
from eventstore.admin.events import EventAdmin
from eventstore.models import Event
from ops.admin.keyset import size_of

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
    context["open_url"] = reverse("admin:accounts_account_open") if _may(request, "accounts.open_account") else None
    if _may(request, "eventstore.view_event"):
        events = Event.objects.order_by("-position").defer(*EventAdmin.deferred)[:LATEST]
        context["event_headings"] = EventAdmin.columns
        context["events"] = [[(column, column.cell(event)) for column in EventAdmin.columns] for event in events]
    return context


def _may(request: HttpRequest, permission: str) -> bool:
    return bool(request.user.has_perm(permission))
