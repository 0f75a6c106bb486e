"""The books, event by event."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from eventstore.admin.links import aggregate_link, command_link
from eventstore.models import Event
from eventstore.registry import known_event_types
from ops.admin.keyset import Keyset, moment, position
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter, id_filter, time_filter
from ops.html import link, page_of, pretty, short_id, when

BY_POSITION = Keyset(("position",), (position,))
BY_VERSION = Keyset(("version",), (position,))
"""Within one stream, where version and position rise together."""
BY_TIME = Keyset(("timestamp", "position"), (moment, position))
"""Positions do not follow time where history was brought in, so a window of time is read by time."""


class EventFilters(Filters):
    stream = id_filter("Stream (account)")
    command = id_filter("Command (transaction)")
    event_type = choice_filter("Type", ())
    since = time_filter("From (UTC)")
    until = time_filter("Before (UTC)")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        types: Any = self.fields["event_type"]
        types.choices = [("", "All"), *((name, name) for name in sorted(known_event_types()))]

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        """The order is that of the index which finds the rows."""
        data = self.cleaned_data
        if data["since"] or data["until"]:
            keyset = BY_TIME
        if data["stream"]:
            keyset = BY_VERSION
        lookups = {
            "aggregate_id": data["stream"],
            "command_id": data["command"],
            "event_type": data["event_type"],
            "timestamp__gte": data["since"],
            "timestamp__lt": data["until"],
        }
        return queryset.filter(**{name: value for name, value in lookups.items() if value}), keyset


@admin.register(Event)
class EventAdmin(KeysetAdmin):
    about = "Everything that has happened, newest first. Events are facts: nobody can alter or remove one."
    when_empty = "Nothing has happened yet: open an account, and its first event appears here."
    object_template = "eventstore/event.html"
    keyset = BY_POSITION
    filters = EventFilters
    jump_label = "position"
    deferred = ("data", "metadata", "hash")
    columns = (
        Column("Position", lambda event: link(page_of("eventstore.event", event.position), event.position)),
        Column("When (UTC)", lambda event: when(event.timestamp)),
        Column("Type", lambda event: event.event_type),
        Column("Stream", lambda event: aggregate_link(event.aggregate_type, event.aggregate_id)),
        Column("Version", lambda event: event.version, numeric=True),
        Column("Command", lambda event: command_link(event.aggregate_type, event.command_id)),
    )

    def object_context(self, request: HttpRequest, obj: Event) -> dict[str, Any]:
        of_stream = Event.objects.filter(aggregate_id=obj.aggregate_id).only("position", "version", "hash")
        neighbours = {
            event.version: event for event in of_stream.filter(version__in=(obj.version - 1, obj.version + 1))
        }
        previous = neighbours.get(obj.version - 1)
        of_command = f"{reverse('admin:eventstore_event_changelist')}?command={obj.command_id}"
        facts = [
            ("Position", obj.position),
            ("Recorded (UTC)", when(obj.timestamp)),
            ("Stream", link(page_of("eventstore.stream", obj.aggregate_id), obj.aggregate_id)),
            (obj.aggregate_type.capitalize(), aggregate_link(obj.aggregate_type, obj.aggregate_id)),
            ("Version", obj.version),
            ("Transaction", command_link(obj.aggregate_type, obj.command_id)),
            ("Command", link(of_command, obj.command_id)),
            ("Event id", short_id(obj.event_id)),
            ("Schema version", obj.schema_version),
        ]
        return {
            "title": f"{obj.event_type} · position {obj.position}",
            "facts": facts,
            "data": pretty(obj.data),
            "metadata": pretty(obj.metadata),
            "hash": bytes(obj.hash).hex(),
            "previous_hash": bytes(previous.hash).hex() if previous else "",
            "previous": previous,
            "next": neighbours.get(obj.version + 1),
        }
