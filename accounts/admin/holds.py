"""Holds: the list, and the page of one with what may be done about it."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin.cells import (
    CURRENCY,
    account_link,
    account_url,
    amount,
    audit_facts,
    hold_link,
    transaction_link,
)
from accounts.admin.commands import urls as command_urls
from accounts.admin.commands.pages import HOLD_COMMANDS, RELEASE_HOLD
from accounts.domain.account import Status
from accounts.domain.holds import HoldStatus
from accounts.models import Account, Hold
from eventstore.admin.events import BY_VERSION
from eventstore.models import Event
from ops.admin.keyset import BY_ID, Keyset, moment
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter, id_filter
from ops.html import NOTHING, badge, link, when

BY_END = Keyset(("expires_at", "pk"), (moment, UUID), descending=False)
SHOWN_OF_AN_ACCOUNT = 20


def status_of(hold: Hold) -> SafeString:
    """What became of it. An open one past its time is the expiry's to give up, which runs every minute."""
    if hold.status != HoldStatus.OPEN:
        return badge(hold.get_status_display(), "plain")
    return badge("Past its time", "warn") if hold.expires_at <= timezone.now() else badge("Open", "good")


HOLD = Column("Hold", lambda hold: hold_link(hold.pk))
FACTS = (
    Column("Status", status_of),
    Column("Amount", lambda hold: amount(hold.amount, hold.currency), numeric=True),
    Column("Still held", lambda hold: amount(hold.held, hold.currency), numeric=True),
    Column("Placed (UTC)", lambda hold: when(hold.placed_at)),
    Column("Until (UTC)", lambda hold: when(hold.expires_at)),
    Column("Description", lambda hold: hold.description or NOTHING),
)
OF_AN_ACCOUNT = (HOLD, *FACTS)
"""Columns on the page of an account."""


def open_holds(account: Account) -> list[Hold]:
    """What an account holds, newest first, a page of it."""
    found = Hold.objects.filter(account_id=account.pk, status=HoldStatus.OPEN).order_by("-version")
    return list(found[:SHOWN_OF_AN_ACCOUNT])


class HoldFilters(Filters):
    account = id_filter("Account")
    show = choice_filter("Show", [("open", "Open ones, by when they end")])

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        data = self.cleaned_data
        if data["show"]:
            queryset, keyset = queryset.filter(status=HoldStatus.OPEN), BY_END
        return (queryset.filter(account_id=data["account"]), BY_VERSION) if data["account"] else (queryset, keyset)


@admin.register(Hold)
class HoldAdmin(KeysetAdmin):
    about = (
        "Money that is reserved and not yet booked, newest first. A hold ends when it is captured or released, or "
        "when its time is over."
    )
    when_empty = "No money was reserved yet. Card partners do so over the API, and tellers from an account's page."
    object_template = "accounts/hold.html"
    keyset = BY_ID
    filters = HoldFilters
    columns = (HOLD, Column("Account", lambda hold: account_link(hold.account_id)), *FACTS)
    export_also = (Column("Captured", lambda hold: amount(hold.captured, hold.currency), numeric=True), CURRENCY)

    def more_urls(self) -> list[URLPattern]:
        return command_urls.hold_urls(self)

    def object_context(self, request: HttpRequest, obj: Hold) -> dict[str, Any]:
        account = Account.objects.filter(pk=obj.account_id).first()
        placed = Event.objects.filter(aggregate_id=obj.account_id, version=obj.version).only("command_id").first()
        return {
            "title": f"Hold …{str(obj.pk)[-12:]}",
            "facts": [
                ("Hold", obj.pk),
                ("Account", link(account_url(obj.account_id), account.owner if account else obj.account_id)),
                ("Status", status_of(obj)),
                ("Amount", amount(obj.amount, obj.currency)),
                ("Still held", amount(obj.held, obj.currency)),
                ("Captured", amount(obj.captured, obj.currency)),
                ("Given up", amount(obj.released, obj.currency)),
                ("A capture is booked to", obj.contra),
                ("Description", obj.description or NOTHING),
                ("Placed (UTC)", when(obj.placed_at)),
                ("Until (UTC)", when(obj.expires_at)),
                ("Ended (UTC)", when(obj.closed_at)),
                ("Placed by", transaction_link(placed.command_id if placed else None)),
                *audit_facts(request, f"hold:{obj.pk}"),
            ],
            "commands": _allowed(request, obj, account),
        }


def _allowed(request: HttpRequest, hold: Hold, account: Account | None) -> list[dict[str, Any]]:
    """Buttons: what this user may do, and the hold and its account allow."""
    if account is None or hold.status != HoldStatus.OPEN:
        return []
    in_time = hold.expires_at > timezone.now()
    return [
        {"label": page.title, "url": page.url(hold.pk), "is_dangerous": page.is_dangerous}
        for page in HOLD_COMMANDS
        if request.user.has_perm(page.permission)
        and Status(account.status) in page.statuses
        and (in_time or page is RELEASE_HOLD)
    ]
