"""Webhooks of API clients, and the log of what was sent to them."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from ops.admin.keyset import BY_ID, Keyset
from ops.admin.lists import Column, Filters, choice_filter, id_filter, text_filter
from ops.admin.managed import ManagedAdmin
from ops.html import badge, link, page_of, pretty, short_id, when
from ops.webhooks import queue, subscriptions
from ops.webhooks.models import Webhook, WebhookAttempt, WebhookDelivery

TONES = {"active": "good", "paused": "warn", "delivered": "good", "failed": "bad"}
MANAGE = "ops.manage_webhook"


def state_badge(row: Webhook | WebhookDelivery) -> object:
    return badge(row.get_state_display(), TONES.get(row.state, "plain"))


class WebhookFilters(Filters):
    client = text_filter("Client", placeholder="name", max_length=60)
    key = text_filter("Made with the key", placeholder="public part", max_length=12)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        asked = {"client__name": self.cleaned_data["client"], "made_with__prefix": self.cleaned_data["key"]}
        return queryset.filter(**{name: value for name, value in asked.items() if value}), keyset


class DeliveryFilters(Filters):
    webhook = id_filter("Webhook")
    state = choice_filter("State", WebhookDelivery.State.choices)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return queryset.filter(**given), keyset


@admin.register(Webhook)
class WebhookAdmin(ManagedAdmin):
    keyset = BY_ID
    manage_permission = MANAGE
    about = "Addresses to which API clients have events sent. Clients make and delete them over the API."
    when_empty = "No client has made a webhook yet (POST /api/v1/webhooks)."
    filters = WebhookFilters
    columns = (
        Column("Address", lambda row: link(page_of("ops.webhook", row.pk), row.url[:80])),
        Column("Client", lambda row: row.client.name),
        Column("State", state_badge),
        Column("Failures in a row", lambda row: row.failures_in_a_row, numeric=True),
        Column("Made (UTC)", lambda row: when(row.created_at)),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        rows = super().get_queryset(request).select_related("client", "made_with")
        return rows.defer("salt", "previous_salt", "oldest_salt", "made_with__digest")

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:webhook_id>/pause/", view(self.pause_view), name="ops_webhook_pause"),
            path("<uuid:webhook_id>/resume/", view(self.resume_view), name="ops_webhook_resume"),
        ]

    def tools(self, request: HttpRequest, obj: Webhook) -> list[dict[str, str]]:
        if obj.state == Webhook.State.ACTIVE:
            return [{"label": "Pause", "url": reverse("admin:ops_webhook_pause", args=[obj.pk])}]
        if obj.state == Webhook.State.PAUSED:
            return [{"label": "Resume", "url": reverse("admin:ops_webhook_resume", args=[obj.pk])}]
        return []

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Webhook)
        log = f"{reverse('admin:ops_webhookdelivery_changelist')}?webhook={obj.pk}"
        return [
            ("Address", obj.url),
            ("Client", obj.client.name),
            ("Event types", ", ".join(obj.event_types)),
            ("State", state_badge(obj)),
            ("Paused because", obj.paused_reason or "–"),
            ("Paused (UTC)", when(obj.paused_at)),
            ("Failures in a row", obj.failures_in_a_row),
            ("Next try not before (UTC)", when(obj.not_before)),
            ("Previous secrets sign until (UTC)", when(obj.previous_until)),
            ("Made (UTC)", when(obj.created_at)),
            ("Made with", link(page_of("ops.apikey", key.pk), f"{key.prefix}…") if (key := obj.made_with) else "–"),
            ("Log", link(log, "Deliveries to this webhook")),
        ]

    def _existing(self, request: HttpRequest, webhook_id: UUID) -> Webhook | None:
        return self.get_queryset(request).exclude(state=Webhook.State.DELETED).filter(pk=webhook_id).first()

    def pause_view(self, request: HttpRequest, webhook_id: UUID) -> HttpResponse:
        def do(reason: str) -> str:
            return (
                "It is paused." if subscriptions.pause(webhook_id, "Paused by the bank.") else "It was paused before."
            )

        return self.act(
            request,
            self._existing(request, webhook_id),
            action="pause_webhook",
            button="Pause",
            about="Nothing more is sent to it until it is resumed. What comes meanwhile waits.",
            do=do,
        )

    def resume_view(self, request: HttpRequest, webhook_id: UUID) -> HttpResponse:
        def do(reason: str) -> str:
            subscriptions.resume(webhook_id)
            return "It is active: what has waited is being sent."

        return self.act(
            request,
            self._existing(request, webhook_id),
            action="resume_webhook",
            button="Resume",
            about="What has waited is sent, the oldest of each account first.",
            do=do,
        )


ATTEMPT_COLUMNS = (
    Column("Try", lambda row: row.number, numeric=True),
    Column("Begun (UTC)", lambda row: when(row.started_at)),
    Column("Milliseconds", lambda row: "–" if row.duration_ms is None else row.duration_ms, numeric=True),
    Column("Status", lambda row: row.status or "–"),
    Column(
        "Error", lambda row: row.error or ("–" if row.finished_at else "Not known: under way, or its sender died")
    ),
    Column("Sent to", lambda row: row.address or "–"),
    Column("Answer", lambda row: row.answer[:200] or "–"),
)
MOST_ATTEMPTS = 200
"""Of a delivery, on its page; the latest."""


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ManagedAdmin):
    keyset = BY_ID
    manage_permission = MANAGE
    about = "Each message to each webhook, newest first: what was sent, or is to be, and what came of it."
    when_empty = "Messages appear when something happens that a webhook asked for."
    filters = DeliveryFilters
    object_template = "ops/delivery.html"
    deferred = ("body",)
    columns = (
        Column("Event", lambda row: link(page_of("ops.webhookdelivery", row.pk), row.event_type)),
        Column("About", lambda row: short_id(row.key)),
        Column("Version", lambda row: row.sequence, numeric=True),
        Column("To", lambda row: link(page_of("ops.webhook", row.webhook_id), row.webhook.url[:60])),
        Column("State", state_badge),
        Column("Tries", lambda row: row.attempts, numeric=True),
        Column("Made (UTC)", lambda row: when(row.created_at)),
        Column("Delivered (UTC)", lambda row: when(row.delivered_at)),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows = super().get_queryset(request).select_related("webhook", "webhook__client")
        return rows.defer("webhook__salt", "webhook__previous_salt", "webhook__oldest_salt")

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.again_view)
        return [path("<uuid:delivery_id>/again/", view, name="ops_webhookdelivery_again")]

    def tools(self, request: HttpRequest, obj: WebhookDelivery) -> list[dict[str, str]]:
        return [{"label": "Send again", "url": reverse("admin:ops_webhookdelivery_again", args=[obj.pk])}]

    def object_context(self, request: HttpRequest, obj: WebhookDelivery) -> dict[str, Any]:
        tries: list[WebhookAttempt] = list(obj.tries.order_by("-pk")[:MOST_ATTEMPTS])
        return {
            **super().object_context(request, obj),
            "headings": ATTEMPT_COLUMNS,
            "rows": [[(column, column.cell(attempt)) for column in ATTEMPT_COLUMNS] for attempt in tries],
            "body": pretty(json.loads(obj.body)),
        }

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, WebhookDelivery)
        return [
            ("Delivery", obj.pk),
            ("Event", f"{obj.event_type} {obj.event_id}"),
            ("About", obj.key),
            ("Version", obj.sequence),
            ("To", link(page_of("ops.webhook", obj.webhook_id), obj.webhook.url)),
            ("Client", obj.webhook.client.name),
            ("State", state_badge(obj)),
            ("Tries", obj.attempts),
            ("Made (UTC)", when(obj.created_at)),
            ("Delivered (UTC)", when(obj.delivered_at)),
        ]

    def again_view(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        def do(reason: str) -> str:
            queue.send_again(delivery_id)
            return "It is due, and goes before those of its account that wait."

        return self.act(
            request,
            self.get_queryset(request).filter(pk=delivery_id).first(),
            action="redeliver_webhook",
            button="Send again",
            about="The receiver gets the same message once more, with all its tries before it.",
            do=do,
        )
