"""What callers' keys led to."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from eventstore.models import IdempotencyRecord
from ops.admin.keyset import Keyset, text_key
from ops.admin.lists import Column, Filters, KeysetAdmin, text_filter
from ops.html import link, short_id, when


class RecordFilters(Filters):
    """Scope and key are the primary key, in this order: a key alone would be looked for in the whole table."""

    scope = text_filter("Scope", placeholder="client:acme", help_text="Who sent the key.", max_length=200)
    key = text_filter("Key", help_text="Together with its scope.", max_length=300)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("key") and not data.get("scope"):
            raise ValidationError({"scope": "Give the scope of the key too: keys are kept by it."})
        return data

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        return queryset.filter(**{name: value for name, value in self.cleaned_data.items() if value}), keyset


def events_of(command_id: object) -> str:
    return f"{reverse('admin:eventstore_event_changelist')}?command={command_id}"


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(KeysetAdmin):
    about = "The idempotency keys that callers sent, by scope and key, and the command that each led to."
    when_empty = "A record appears for each command that comes with an idempotency key."
    keyset = Keyset(("scope", "key"), (text_key, text_key), descending=False)
    filters = RecordFilters
    deferred = ("fingerprint", "result")
    columns = (
        Column("Key", lambda record: record.key),
        Column("Scope", lambda record: record.scope),
        Column(
            "Events of its command", lambda record: link(events_of(record.command_id), short_id(record.command_id))
        ),
        Column("Recorded (UTC)", lambda record: when(record.created_at)),
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Records are found by scope and key alone: a command's id leads to its events."""
        return self.require_view(request) or HttpResponseRedirect(events_of(object_id))
