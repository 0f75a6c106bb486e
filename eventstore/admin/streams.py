"""Where each stream ends."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from eventstore.admin.links import aggregate_link
from eventstore.admin.repairs import REPAIRS, RecoverStreams, ReplayStreams, repairs_of, selection_of
from eventstore.models import Stream
from ops.admin.audited import require_permission
from ops.admin.keyset import BY_ID, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, id_filter
from ops.admin.procedure import run
from ops.admin.selection import MOST, SelectionTool, selected
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
    object_template = "ops/managed.html"
    keyset = BY_ID
    filters = StreamFilters
    deferred = ("head_hash",)
    columns = (
        Column("Stream", lambda stream: link(page_of("eventstore.stream", stream.pk), stream.pk)),
        Column("Kind", lambda stream: stream.aggregate_type),
        Column("Version", lambda stream: stream.version, numeric=True),
        Column("Last event (UTC)", lambda stream: when(stream.last_timestamp)),
    )

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        several = [
            path(f"{name}/", view(self._view_of_several(procedure)), name=f"eventstore_stream_{name}_several")
            for name, procedure in REPAIRS.items()
        ]
        one = [
            path(f"<uuid:stream_id>/{name}/", view(self._view_of(procedure)), name=f"eventstore_stream_{name}")
            for name, procedure in REPAIRS.items()
        ]
        return [*several, *one]

    def selection(self, request: HttpRequest) -> list[SelectionTool]:
        return selection_of(request)

    def _view_of_several(self, procedure: type[ReplayStreams | RecoverStreams]) -> Callable[..., HttpResponse]:
        def repair(request: HttpRequest) -> HttpResponse:
            back = reverse("admin:eventstore_stream_changelist")
            require_permission(request, procedure.permission, procedure.action, "streams")
            chosen = selected(request, UUID)
            if chosen is None:
                messages.warning(request, f"Select between 1 and {MOST} rows first.")
                return HttpResponseRedirect(back)
            keys = chosen if isinstance(chosen, str) else [str(key) for key in chosen]
            return run(self, request, procedure(keys), back=back)

        return repair

    def _view_of(self, procedure: type[ReplayStreams | RecoverStreams]) -> Callable[..., HttpResponse]:
        def repair(request: HttpRequest, stream_id: UUID) -> HttpResponse:
            require_permission(request, procedure.permission, procedure.action, f"stream:{stream_id}")
            stream = self.get_queryset(request).filter(pk=stream_id).first()
            if stream is None:
                raise Http404(f"There is no stream {stream_id}.")
            return run(self, request, procedure([str(stream.pk)]), back=page_of("eventstore.stream", stream_id))

        return repair

    def object_context(self, request: HttpRequest, obj: Stream) -> dict[str, Any]:
        return {**super().object_context(request, obj), "tools": repairs_of(request, obj.pk)}

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
