"""Transactions: the list of postings, and the page of one transaction with all that belongs to it."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from accounts.admin.cells import (
    CURRENCY,
    account_link,
    amount,
    audit_facts,
    ledger_account,
    transaction_link,
    transaction_url,
)
from accounts.admin.commands import urls as command_urls
from accounts.admin.posting_search import PostingFilters
from accounts.admin.timeline import in_words, timeline_entry
from accounts.domain.events import POSTING_TYPES
from accounts.models import Account, JournalLine, Reversal, Transaction
from eventstore.models import Event
from ops.admin.keyset import Keyset, position
from ops.admin.lists import Column, KeysetAdmin
from ops.html import NOTHING, day, when

MOST_SHOWN = 200
"""A transaction has a handful of events; a page shows no more than this, whatever comes."""


@admin.register(Transaction)
class TransactionAdmin(KeysetAdmin):
    about = (
        "Postings as on a statement, newest first. They follow the events within moments. Those of one account are "
        "searched by amount, words and time."
    )
    when_empty = "Postings appear when money has moved and the projector runs (manage.py run_projections)."
    keyset = Keyset(("position",), (position,))
    filters = PostingFilters
    jump_label = "position"
    columns = (
        Column("Transaction", lambda row: transaction_link(row.transaction_id)),
        Column("Recorded (UTC)", lambda row: when(row.recorded_at)),
        Column("Account", lambda row: account_link(row.account_id)),
        Column("Kind", lambda row: in_words(row.kind)),
        Column("Amount", lambda row: amount(row.amount, row.currency), numeric=True),
        Column("Balance", lambda row: amount(row.balance, row.currency), numeric=True),
        Column("Contra", lambda row: ledger_account(row.contra)),
        Column("Description", lambda row: row.description or NOTHING),
    )
    export_also = (CURRENCY,)

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("of/<uuid:transaction_id>/", view(self.transaction_view), name="accounts_transaction_page"),
            *command_urls.transaction_urls(self),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A posting is shown with its transaction."""
        if (refused := self.require_view(request)) is not None:
            return refused
        posting = self.get_object(request, object_id)
        if posting is None:
            raise Http404("There is no such posting.")
        return HttpResponseRedirect(transaction_url(posting.transaction_id))

    def transaction_view(self, request: HttpRequest, transaction_id: UUID) -> HttpResponse:
        """From the books themselves: complete also while the read models lag behind."""
        if (refused := self.require_view(request)) is not None:
            return refused
        events = list(Event.objects.filter(command_id=transaction_id).order_by("position").defer("hash")[:MOST_SHOWN])
        if not events:
            raise Http404(f"There is no transaction {transaction_id}.")
        return self.render(request, "accounts/transaction.html", transaction_context(request, transaction_id, events))


JOURNAL_COLUMNS = (
    Column("Ledger account", lambda line: ledger_account(line.ledger_account)),
    Column("Amount", lambda line: amount(line.amount, line.currency), numeric=True),
    Column("Value date", lambda line: day(line.value_date)),
)


def transaction_context(request: HttpRequest, transaction_id: UUID, events: list[Event]) -> dict[str, Any]:
    moved_money = any(event.event_type in POSTING_TYPES and event.data.get("amount") for event in events)
    reverses = next((event.data["reverses"] for event in events if event.data.get("reverses")), None)
    reversed_by = Reversal.objects.filter(pk=transaction_id).values_list("reversed_by", flat=True).first()
    lines = list(JournalLine.objects.filter(transaction_id=transaction_id).order_by("id")[:MOST_SHOWN])
    may_reverse = request.user.has_perm("accounts.reverse_transaction")
    may_see_events = request.user.has_perm("eventstore.view_event")
    touched = {event.aggregate_id for event in events}
    currencies = dict(Account.objects.filter(pk__in=touched).values_list("pk", "currency"))
    first = events[0].metadata
    return {
        "title": f"Transaction …{str(transaction_id)[-12:]}",
        "facts": [
            ("Transaction", transaction_id),
            ("Recorded (UTC)", when(events[0].timestamp)),
            ("By", first.get("actor", NOTHING)),
            ("Why", first.get("reason", NOTHING)),
            ("Way in", first.get("source", NOTHING)),
            ("From", first.get("address", NOTHING)),
            ("Reverses", transaction_link(reverses)),
            ("Reversed by", transaction_link(reversed_by)),
            *audit_facts(request, f"transaction:{transaction_id}"),
        ],
        "entries": [
            (
                account_link(event.aggregate_id),
                timeline_entry(event, currencies[event.aggregate_id], linked=may_see_events),
            )
            for event in events
        ],
        "moved_money": moved_money,
        "journal_headings": JOURNAL_COLUMNS,
        "journal": [[(column, column.cell(line)) for column in JOURNAL_COLUMNS] for line in lines],
        "reverse_url": reverse("admin:accounts_transaction_reverse", args=[transaction_id])
        if may_reverse and moved_money and reversed_by is None and reverses is None
        else None,
    }
