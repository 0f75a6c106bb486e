"""The idempotency desk: what a caller's key led to, what it was answered, and how often it came again."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from eventstore.admin.links import aggregate_link, command_link
from eventstore.models import Event, IdempotencyRecord
from eventstore.retries import retries_of
from ops.admin.keyset import Keyset, text_key
from ops.admin.lists import Column, Filters, KeysetAdmin, text_filter
from ops.conf import get_settings
from ops.html import NOTHING, badge, link, page_of, pretty, short_id, when

CLIENT = "client:"
"""Scopes of API clients begin so; whoever types a client's name alone means that one."""
MOST_EVENTS = 50
"""Events of the command that are listed: one has a handful."""
REQUEST_FACTS = (
    ("actor", "Sent by"),
    ("source", "By way of"),
    ("address", "From the address"),
    ("request_id", "Request id"),
    ("correlation_id", "Correlation id"),
    ("reason", "Because"),
)
"""Of the metadata that the command left with its events."""


class RecordFilters(Filters):
    """Scope and key are the primary key, in this order: a key alone would be looked for in the whole table."""

    scope = text_filter("Client", placeholder="acme", help_text="Or a whole scope: staff:alice.", max_length=200)
    key = text_filter("Key", help_text="Its header Idempotency-Key.", max_length=300)

    def clean_scope(self) -> str:
        scope: str = self.cleaned_data["scope"].strip()
        return scope if ":" in scope or not scope else f"{CLIENT}{scope}"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("key") and not data.get("scope"):
            raise ValidationError({"scope": "Give the client of the key too: keys are kept by it."})
        return data

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        return queryset.filter(**{name: value for name, value in self.cleaned_data.items() if value}), keyset


def events_of(command_id: object) -> str:
    return f"{reverse('admin:eventstore_event_changelist')}?command={command_id}"


def record_url(record: IdempotencyRecord) -> str:
    query = urlencode({"scope": record.scope, "key": record.key})
    return f"{reverse('admin:eventstore_idempotencyrecord_page')}?{query}"


EVENTS = (
    Column("Event", lambda event: link(page_of("eventstore.event", event.position), event.event_type)),
    Column("Stream", lambda event: aggregate_link(event.aggregate_type, event.aggregate_id)),
    Column("Version", lambda event: event.version, numeric=True),
    Column("When (UTC)", lambda event: when(event.timestamp)),
)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(KeysetAdmin):
    about = (
        "What callers' idempotency keys led to. Look up a client and a key to see what was asked, what was answered, "
        "and how often the key came again."
    )
    when_empty = "A record appears for each command that comes with an idempotency key."
    keyset = Keyset(("scope", "key"), (text_key, text_key), descending=False)
    filters = RecordFilters
    deferred = ("fingerprint", "result")
    columns = (
        Column("Key", lambda record: link(record_url(record), record.key)),
        Column("Scope", lambda record: record.scope),
        Column(
            "Events of its command", lambda record: link(events_of(record.command_id), short_id(record.command_id))
        ),
        Column("Recorded (UTC)", lambda record: when(record.created_at)),
    )

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        hours = get_settings().idempotency_retention_hours
        told = (
            "This client has sent no such key, or its command was refused or is still being executed (both leave no "
            f"record), or that was more than {hours} hours ago. Where to find a key: the client's own log has the "
            "header Idempotency-Key of its request; a command in a batch has the batch's key, a colon and its place "
            "(“night-run:0” is the first) unless it brought its own; small and capital letters are not the same. "
            "An account's events tell what happened even where the key is forgotten."
        )
        return {"when_none_fits": told}

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.record_view)
        return [path("record/", view, name="eventstore_idempotencyrecord_page")]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Records are found by scope and key alone: a command's id leads to its events."""
        return self.require_view(request) or HttpResponseRedirect(events_of(object_id))

    def record_view(self, request: HttpRequest) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        scope, key = request.GET.get("scope", ""), request.GET.get("key", "")
        if not scope or not key:
            return HttpResponseRedirect(reverse("admin:eventstore_idempotencyrecord_changelist"))
        record = None if "\x00" in scope + key else self.get_queryset(request).filter(scope=scope, key=key).first()
        if record is None:
            raise Http404("There is no such key.")
        events = list(Event.objects.filter(command_id=record.command_id).order_by("position")[:MOST_EVENTS])
        context = {
            "title": f"Key {record.key}",
            "facts": [*_facts(record, events), *_request(events)],
            "fingerprint": bytes(record.fingerprint).hex(),
            "answer": pretty(record.result),
            "headings": EVENTS,
            "rows": [[(column, column.cell(event)) for column in EVENTS] for event in events],
        }
        return self.render(request, "eventstore/idempotency.html", context)


def _facts(record: IdempotencyRecord, events: list[Event]) -> list[tuple[str, object]]:
    kind = events[0].aggregate_type if events else ""
    expires = record.created_at + timedelta(hours=get_settings().idempotency_retention_hours)
    is_over = expires < timezone.now()
    return [
        ("Key", record.key),
        ("Client", _client(record.scope)),
        ("Recorded (UTC)", when(record.created_at)),
        ("Forgotten after (UTC)", badge("With the next cleanup", "warn") if is_over else when(expires)),
        ("Transaction", command_link(kind, record.command_id)),
        (kind.capitalize() or "Stream", aggregate_link(kind, record.aggregate_id)),
        *_retries(record),
    ]


def _client(scope: str) -> object:
    clients = reverse("admin:ops_apikey_changelist")
    name = scope.removeprefix(CLIENT)
    return link(f"{clients}?{urlencode({'client': name})}", scope) if scope.startswith(CLIENT) else scope


def _retries(record: IdempotencyRecord) -> list[tuple[str, object]]:
    retries = retries_of(record.command_id)
    if retries is None:
        return [("Came again", "never")]
    refused = badge(f"{_times(retries.mismatches)}: refused", "bad") if retries.mismatches else "never"
    return [
        ("Came again", f"{_times(retries.replays)}, and got the first answer" if retries.replays else "never"),
        ("Came with another request", refused),
        ("Last time (UTC)", when(retries.last_at)),
    ]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _request(events: list[Event]) -> list[tuple[str, object]]:
    told = events[0].metadata if events else {}
    return [(label, told.get(name) or NOTHING) for name, label in REQUEST_FACTS]
