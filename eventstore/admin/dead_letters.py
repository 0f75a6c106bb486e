"""Dead letters: what a read model could not take, and what waits behind it."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from eventstore.models import DeadLetter, Event
from eventstore.projections import dead_letters
from eventstore.projections.dead_letters import NotResolvable, Redrive
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, choice_filter, id_filter
from ops.admin.managed import ManagedAdmin, NotDone
from ops.audit.record import staff_actor
from ops.html import badge, link, page_of, pretty, short_id, verbatim, when

TONES = {"failed": "bad", "parked": "warn", "unreadable": "bad", "applied": "good"}
STATES = ("failed", "parked", "unreadable", "applied", "discarded", "superseded")


class LetterFilters(Filters):
    state = choice_filter("State", [(state, state.capitalize()) for state in STATES])
    stream = id_filter("Stream (account)")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        given = {"state": self.cleaned_data["state"], "aggregate_id": self.cleaned_data["stream"]}
        return queryset.filter(**{name: value for name, value in given.items() if value}), keyset


def state_badge(letter: DeadLetter) -> object:
    return badge(letter.state.capitalize(), TONES.get(letter.state, "plain"))


@admin.register(DeadLetter)
class DeadLetterAdmin(ManagedAdmin):
    about = (
        "Events that a read model could not take. Later events of the same stream are parked behind them, so that "
        "no account is applied out of order; all other streams go on."
    )
    when_empty = "Every event was applied: there is nothing to do here."
    keyset = BY_NUMBER
    filters = LetterFilters
    manage_permission = "eventstore.resolve_deadletter"
    deferred = ("traceback", "message_key", "message_value")
    columns = (
        Column("Letter", lambda letter: link(page_of("eventstore.deadletter", letter.pk), str(letter.pk))),
        Column("State", state_badge),
        Column("Read model", lambda letter: letter.projection or "–"),
        Column("Event", lambda letter: letter.event_type or letter.topic),
        Column("Stream", lambda letter: _stream_of(letter)),
        Column("Version", lambda letter: "–" if letter.version is None else letter.version, numeric=True),
        Column("Tries", lambda letter: letter.attempts, numeric=True),
        Column("Error", lambda letter: letter.error[:120] or "–"),
        Column("Since (UTC)", lambda letter: when(letter.created_at)),
    )

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:letter_id>/retry/", view(self.retry_view), name="eventstore_deadletter_retry"),
            path("<int:letter_id>/discard/", view(self.discard_view), name="eventstore_deadletter_discard"),
            path("<int:letter_id>/confirm/", view(self.confirm_view), name="eventstore_deadletter_confirm"),
        ]

    def tools(self, request: HttpRequest, obj: DeadLetter) -> list[dict[str, str]]:
        offered = [("Retry", "retry")] if obj.state in ("failed", "parked") else []
        if obj.state == "failed":
            asked_by = obj.discard_requested_by
            if asked_by and asked_by != staff_actor(request.user):
                offered.append(("Confirm the discard", "confirm"))
            elif not asked_by:
                offered.append(("Ask to discard", "discard"))
        return [
            {"label": label, "url": reverse(f"admin:eventstore_deadletter_{name}", args=[obj.pk])}
            for label, name in offered
        ]

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, DeadLetter)
        fields: list[tuple[str, object]] = [
            ("State", state_badge(obj)),
            ("Stream", _stream_of(obj)),
            ("Read model", f"{obj.projection}, generation {obj.generation}" if obj.projection else "–"),
            ("Tries", obj.attempts),
            ("Since (UTC)", when(obj.created_at)),
            ("Last try (UTC)", when(obj.last_attempt_at)),
            ("Resolved (UTC)", when(obj.resolved_at)),
            ("Resolved by", obj.resolved_by or "–"),
            ("Discard asked for by", obj.discard_requested_by or "–"),
            ("Because", obj.reason or "–"),
        ]
        if obj.position is not None:
            fields.append(("Event", link(page_of("eventstore.event", obj.position), f"position {obj.position}")))
        if obj.topic:
            fields.append(("Message", f"{obj.topic}, partition {obj.kafka_partition}, offset {obj.kafka_offset}"))
        fields += [("Error", obj.error or "–"), ("Payload", self._payload(obj))]
        return [*fields, ("Traceback", verbatim(obj.traceback))]

    def _payload(self, letter: DeadLetter) -> object:
        if letter.position is None:
            return verbatim(bytes(letter.message_value or b"").decode("utf-8", "replace"))
        event = Event.objects.filter(position=letter.position).first()
        return pretty(event.data) if event else "–"

    def _found(self, request: HttpRequest, letter_id: int) -> DeadLetter | None:
        return self.get_queryset(request).filter(pk=letter_id).first()

    def retry_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        def do(reason: str) -> str:
            return _told(lambda: dead_letters.retry(letter_id, by=staff_actor(request.user)))

        return self.act(
            request,
            self._found(request, letter_id),
            action="retry_dead_letter",
            button="Retry",
            about="The events of this stream that wait are applied again, in order, until one fails.",
            do=do,
        )

    def discard_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        def do(reason: str) -> str:
            try:
                dead_letters.request_discard(letter_id, by=staff_actor(request.user), reason=reason)
            except NotResolvable as error:
                raise NotDone(f"Nothing was done: {error}.") from error
            return "It is asked for. Someone else has to confirm it before anything changes."

        return self.act(
            request,
            self._found(request, letter_id),
            action="ask_discard_dead_letter",
            button="Ask to discard",
            about="This read model would leave the event out for good. The books keep it. A second person confirms.",
            do=do,
        )

    def confirm_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        letter = self._found(request, letter_id)

        def do(reason: str) -> str:
            return _told(lambda: dead_letters.confirm_discard(letter_id, by=staff_actor(request.user)))

        asked = f"{letter.discard_requested_by} asked for it, because: {letter.reason}. " if letter else ""
        return self.act(
            request,
            letter,
            action="confirm_discard_dead_letter",
            button="Confirm the discard",
            about=f"{asked}The read model leaves the event out for good, and what waits behind it is applied.",
            do=do,
        )


def _told(resolve: Any) -> str:
    """What a redrive did, in words.

    Raises:
        NotDone: nothing could be done.
    """
    try:
        redrive: Redrive = resolve()
    except NotResolvable as error:
        raise NotDone(f"Nothing was done: {error}.") from error
    told = f"{redrive.applied} events were applied, {redrive.left} still wait."
    return f"{told} The next one failed: {redrive.error}" if redrive.error else told


def _stream_of(letter: DeadLetter) -> object:
    if letter.aggregate_id is None:
        return "–"
    return link(page_of("eventstore.stream", letter.aggregate_id), short_id(letter.aggregate_id))
