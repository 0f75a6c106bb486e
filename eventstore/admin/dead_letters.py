"""Dead letters: what a read model could not take, and what waits behind it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from eventstore.admin.repairs import ReplayStreams
from eventstore.approvals import Discard, redrive_in_words
from eventstore.errors import EventStoreError
from eventstore.models import DeadLetter, Event
from eventstore.projections import dead_letters
from eventstore.projections.dead_letters import NotResolvable, Redrive
from ops.admin.audited import require_permission
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, choice_filter, id_filter
from ops.admin.managed import ManagedAdmin, NotDone
from ops.admin.procedure import AtOnce, ByJob, Plan, Procedure, run
from ops.admin.selection import ALL, MOST, SelectionTool, selected
from ops.approvals.registry import CannotDo
from ops.audit.record import staff_actor
from ops.html import badge, folded, link, page_of, pretty, short_id, verbatim, when

TONES = {"failed": "bad", "parked": "warn", "unreadable": "bad", "applied": "good"}
STATES = ("failed", "parked", "unreadable", "applied", "discarded", "superseded")


class LetterFilters(Filters):
    state = choice_filter("State", [(state, state.capitalize()) for state in STATES])
    stream = id_filter("Stream (account)")

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        given = {"state": self.cleaned_data["state"], "aggregate_id": self.cleaned_data["stream"]}
        return queryset.filter(**{name: value for name, value in given.items() if value}), keyset


def state_badge(letter: DeadLetter) -> object:
    acknowledged = letter.state == "unreadable" and letter.resolved_at
    return badge(letter.state.capitalize(), "plain" if acknowledged else TONES.get(letter.state, "plain"))


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
            path(
                "<int:letter_id>/acknowledge/", view(self.acknowledge_view), name="eventstore_deadletter_acknowledge"
            ),
            path("retry/", view(self.retry_several_view), name="eventstore_deadletter_retry_several"),
            path(
                "acknowledge/",
                view(self.acknowledge_several_view),
                name="eventstore_deadletter_acknowledge_several",
            ),
        ]

    def tools(self, request: HttpRequest, obj: DeadLetter) -> list[dict[str, str]]:
        offered = [("Retry", "retry")] if obj.state in ("failed", "parked") else []
        if obj.state == "failed":
            offered.append(("Ask to discard", "discard"))
        if obj.state == "unreadable" and not obj.resolved_at:
            offered.append(("Acknowledge", "acknowledge"))
        tools = [
            {"label": label, "url": reverse(f"admin:eventstore_deadletter_{name}", args=[obj.pk])}
            for label, name in offered
        ]
        if offered and obj.aggregate_id and request.user.has_perm(ReplayStreams.permission):
            # where rows of the read model are wrong, a retry alone fails again
            replay = reverse("admin:eventstore_stream_replay", args=[obj.aggregate_id])
            tools.append({"label": "Mend the read models: replay the stream", "url": replay})
        return tools

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, DeadLetter)
        fields: list[tuple[str, object]] = [
            ("State", state_badge(obj)),
            ("Stream", _stream_of(obj)),
            ("Read model", f"{obj.projection}, generation {obj.generation}" if obj.projection else "–"),
            ("Tries", obj.attempts),
            ("Since (UTC)", when(obj.created_at)),
            ("Last try (UTC)", when(obj.last_attempt_at)),
        ]
        if obj.state == "parked" and (first := _in_front_of(obj)) is not None:
            fields.append(
                ("Waits behind", link(page_of("eventstore.deadletter", first.pk), f"version {first.version}"))
            )
        if obj.resolved_at:
            fields += [("Resolved (UTC)", when(obj.resolved_at)), ("Resolved by", obj.resolved_by)]
        if obj.discard_requested_by:
            fields.append(("Discard asked for by", obj.discard_requested_by))
        if obj.reason:
            fields.append(("Because", obj.reason))
        if obj.position is not None:
            fields.append(("Event", link(page_of("eventstore.event", obj.position), f"position {obj.position}")))
        if obj.topic:
            fields.append(("Message", f"{obj.topic}, partition {obj.kafka_partition}, offset {obj.kafka_offset}"))
        fields += [("Error", verbatim(obj.error)), ("Payload", self._payload(obj))]
        return [*fields, ("Traceback", folded("Where it failed in the code", obj.traceback))]

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
        return run(self, request, DiscardLetter(letter_id), back=page_of("eventstore.deadletter", letter_id))

    def acknowledge_view(self, request: HttpRequest, letter_id: int) -> HttpResponse:
        def do(reason: str) -> str:
            try:
                dead_letters.acknowledge([letter_id], by=staff_actor(request.user), reason=reason)
            except NotResolvable as error:
                raise NotDone(f"Nothing was done: {error}.") from error
            return "It is acknowledged, and stays on record."

        return self.act(
            request,
            self._found(request, letter_id),
            action="acknowledge_dead_letter",
            button="Acknowledge",
            about="The message stays on record and waits for nobody. No read model lacks anything by it: what it may "
            "have hidden was taken from the feed.",
            do=do,
        )

    def retry_several_view(self, request: HttpRequest) -> HttpResponse:
        return self._several(request, RetryLetters)

    def acknowledge_several_view(self, request: HttpRequest) -> HttpResponse:
        return self._several(request, AcknowledgeLetters)

    def _several(self, request: HttpRequest, procedure: "type[RetryLetters | AcknowledgeLetters]") -> HttpResponse:
        back = reverse("admin:eventstore_deadletter_changelist")
        require_permission(request, self.manage_permission, procedure.action, "deadletters")
        chosen = selected(request, _number)
        if chosen is None:
            messages.warning(request, f"Select between 1 and {MOST} rows first.")
            return HttpResponseRedirect(back)
        return run(self, request, procedure(chosen), back=back)

    def selection(self, request: HttpRequest) -> list[SelectionTool]:
        if not request.user.has_perm(self.manage_permission):
            return []
        acknowledge = reverse("admin:eventstore_deadletter_acknowledge_several")
        return [
            SelectionTool("Retry", reverse("admin:eventstore_deadletter_retry_several"), "Retry all that failed"),
            SelectionTool("Acknowledge", acknowledge, "Acknowledge all that are unreadable"),
        ]


class _OfLetters(Procedure):
    permission = "eventstore.resolve_deadletter"

    def __init__(self, chosen: Sequence[int] | str) -> None:
        self.chosen = chosen if isinstance(chosen, str) else list(chosen)

    @property
    def subject(self) -> str:
        return "deadletter:all" if self.chosen == ALL else f"deadletters:{len(self.chosen)}"

    def among(self, letters: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return letters if self.chosen == ALL else letters.filter(pk__in=self.chosen)


class RetryLetters(_OfLetters, ByJob):
    """Of each stream that a chosen letter belongs to, all that waits."""

    action = job = "retry_dead_letters"
    button = "Retry dead letters"
    about = "Applies what waits again, stream by stream and in order, until all is applied or an event fails again."
    command = "manage.py dead_letters retry"

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"letters": chosen}

    def plan(self, data: dict[str, Any]) -> Plan:
        waiting = self.among(DeadLetter.objects.filter(state__in=dead_letters.WAITING))
        streams = waiting.order_by("projection", "aggregate_id").values_list("projection", "aggregate_id").distinct()
        lines = [
            f"{name}: what waits of stream {aggregate_id} is tried again" for name, aggregate_id in streams[:100]
        ]
        total = streams.count()
        return Plan([*lines, f"{total} streams in all."] if total > len(lines) else lines, self.chosen)


class AcknowledgeLetters(_OfLetters, AtOnce):
    """Of the chosen letters, those that are messages which could not be read."""

    action = "acknowledge_dead_letters"
    button = "Acknowledge unreadable messages"
    about = "They stay on record and wait for nobody. No read model lacks anything by them."
    command = "manage.py dead_letters acknowledge"

    def plan(self, data: dict[str, Any]) -> Plan:
        waiting = self.among(DeadLetter.objects.filter(state="unreadable", resolved_at=None)).order_by("pk")
        shown = list(waiting.defer("traceback", "message_key", "message_value")[:MOST])
        lines = [
            f"{letter.pk}: {letter.topic}, partition {letter.kafka_partition}, offset {letter.kafka_offset}: "
            f"{letter.error[:120]}"
            for letter in shown
        ]
        left = waiting.count() - len(shown)
        spared = [f"{left} more wait: repeat it for those."] if left > 0 else []
        if self.chosen != ALL and len(shown) < len(self.chosen):
            spared.append(f"{len(self.chosen) - len(shown)} are no unreadable messages that wait for somebody.")
        return Plan(lines, [letter.pk for letter in shown], spared)

    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        try:
            dead_letters.acknowledge(chosen, by=actor, reason=reason)
        except NotResolvable as error:
            raise NotDone(f"Nothing was done: {error}.") from error
        return [f"Dead letter {letter_id} is acknowledged, and stays on record." for letter_id in chosen]


class DiscardLetter(Procedure):
    action = Discard.name
    permission = Discard.permission
    button = "Discard the event"
    about = (
        "The read model leaves the event out, until it is made anew (which tries it again), and what waits behind it "
        "is applied. The books keep it."
    )
    command = "manage.py dead_letters discard"

    def __init__(self, letter_id: int) -> None:
        self.letter_id = letter_id

    @property
    def subject(self) -> str:
        return f"deadletter:{self.letter_id}"

    def two_persons(self, data: dict[str, Any]) -> str:
        return Discard.name

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        return {"letter": self.letter_id}

    def plan(self, data: dict[str, Any]) -> Plan:
        try:
            return Plan(Discard().preview({"letter": self.letter_id}))
        except CannotDo as error:
            raise NotDone(str(error)) from error


def _told(resolve: Any) -> str:
    """What a redrive did, in words.

    Raises:
        NotDone: nothing could be done.
    """
    try:
        redrive: Redrive = resolve()
    except EventStoreError as error:
        raise NotDone(f"Nothing was done: {error}.") from error
    return redrive_in_words(redrive)


def _number(text: str) -> int:
    """
    Raises:
        ValueError: it is no id.
    """
    number = int(text)
    if not 0 < number < 2**63:
        raise ValueError(text)
    return number


def _in_front_of(letter: DeadLetter) -> DeadLetter | None:
    """The first that waits of the same stream, which the others are parked behind."""
    same = DeadLetter.objects.filter(
        projection=letter.projection, generation=letter.generation, aggregate_id=letter.aggregate_id
    )
    waiting = same.filter(state__in=dead_letters.WAITING, position__lt=letter.position)
    return waiting.only("version").order_by("position").first()


def _stream_of(letter: DeadLetter) -> object:
    if letter.aggregate_id is None:
        return "–"
    return link(page_of("eventstore.stream", letter.aggregate_id), short_id(letter.aggregate_id))
