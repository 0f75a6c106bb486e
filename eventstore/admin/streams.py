"""Where each stream ends."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.urls import reverse

from eventstore.admin.links import aggregate_link
from eventstore.models import Stream
from ops.admin.keyset import BY_ID, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, id_filter
from ops.html import link, page_of, when


class StreamFilters(Filters):
    stream = id_filter("Stream")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        wanted = self.cleaned_data["stream"]
        return (queryset.filter(aggregate_id=wanted) if wanted else queryset), keyset


@admin.register(Stream)
class StreamAdmin(KeysetAdmin):
    about = "The head of each stream: how many events it has, and the hash that the next one is chained to."
    when_empty = "Each account that is opened starts a stream."
    keyset = BY_ID
    filters = StreamFilters
    deferred = ("head_hash",)
    columns = (
        Column("Stream", lambda stream: link(page_of("eventstore.stream", stream.pk), stream.pk)),
        Column("Kind", lambda stream: stream.aggregate_type),
        Column("Version", lambda stream: stream.version, numeric=True),
        Column("Last event (UTC)", lambda stream: when(stream.last_timestamp)),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Stream)
        events = f"{reverse('admin:eventstore_event_changelist')}?stream={obj.pk}"
        return [
            ("Stream", obj.pk),
            (obj.aggregate_type.capitalize(), aggregate_link(obj.aggregate_type, obj.pk)),
            ("Events", link(events, f"the {obj.version} of this stream")),
            ("Version", obj.version),
            ("Last event (UTC)", when(obj.last_timestamp)),
            ("Hash of the last event", bytes(obj.head_hash).hex()),
        ]
