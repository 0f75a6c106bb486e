"""The page "Kafka": brokers, topics, partitions, the relay, and what each consumer group and read model lacks."""

import time
from typing import Any

from django.contrib import admin
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse

from eventstore import following
from eventstore.admin import kafka_tables
from eventstore.kafka.cluster import Cluster, looker
from eventstore.kafka.lag import Lag, lag
from eventstore.models import KafkaAccess
from ops.access.permissions import VIEW_OPERATIONS
from ops.admin.readonly import ReadOnlyAdmin
from ops.conf import get_settings
from ops.html import NOTHING, at_unix, badge

WAIT = 1.0
"""Seconds that the page waits for the brokers; it opens without their answer, and asks again by itself."""
NO_DATABASE = "PostgreSQL, which knows how far relay and read models are, does not answer."


@admin.register(KafkaAccess)
class KafkaAdmin(ReadOnlyAdmin):
    """One page, of no table: it asks the brokers, and PostgreSQL."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(VIEW_OPERATIONS))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="eventstore_kafkaaccess_changelist"),
            path("state/", view(self.state_view), name="eventstore_kafka_state"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        enabled = get_settings().kafka_enabled
        state_url = reverse("admin:eventstore_kafka_state") if enabled else ""
        context = {"title": "Kafka", "state_url": state_url, **state_of_kafka()}
        return self.render(request, "eventstore/kafka.html", context)

    def state_view(self, request: HttpRequest) -> HttpResponse:
        """The live part anew, for the page that shows it."""
        if (refused := self.require_view(request)) is not None:
            return refused
        live = render_to_string("eventstore/kafka_live.html", state_of_kafka(), request)
        return JsonResponse({"ended": False, "live": live})


def state_of_kafka() -> dict[str, Any]:
    """What the page shows. Without Kafka nobody is asked for it."""
    settings = get_settings()
    database = _from_database(settings.kafka_enabled)
    if not settings.kafka_enabled:
        return {"enabled": False, **database}
    seen, known = looker.look(WAIT), database.pop("lag")
    return {
        "enabled": True,
        "servers": settings.kafka_bootstrap_servers,
        "error": seen.error,
        "pending": f"{seen.pending_seconds:.0f}" if seen.is_pending else "",
        **database,
        **(_told(seen.cluster, known) if seen.cluster else {}),
    }


def _from_database(enabled: bool) -> dict[str, Any]:
    """Of the read models, and with Kafka of the relay; without it what the brokers tell is shown all the same."""
    try:
        models = kafka_tables.read_models(following.read_models())
        known, relaying = (lag(), following.relaying()) if enabled else (None, None)
    except Error:
        return {"lag": None, "no_database": NO_DATABASE}
    return {"lag": known, "relay": _relay(known, relaying) if known else [], "read_models": models}


def _told(cluster: Cluster, known: Lag | None) -> dict[str, Any]:
    settings = get_settings()
    events = cluster.partitions.get(settings.kafka_topic, [])
    return {
        "looked_at": at_unix(cluster.looked_at),
        "age": f"{max(0.0, time.time() - cluster.looked_at):.0f}",
        "took": f"{cluster.seconds * 1000:.0f}",
        "missing": cluster.missing,
        "unanswered": cluster.unanswered,
        "brokers": kafka_tables.brokers(cluster),
        "topics": kafka_tables.topics(cluster),
        "shards": kafka_tables.shards(cluster, events, known),
        "groups": kafka_tables.groups(cluster, events, settings.kafka_group_id),
        "members": kafka_tables.members(cluster),
    }


def _relay(known: Lag, relay: following.Relaying | None) -> list[tuple[str, object]]:
    """Who relays, and how far."""
    if relay is None:
        return [("State", badge("no relay has ever run: manage.py run_relay", "bad"))]
    return [
        ("State", badge("leads", "good") if relay.leads else badge("nobody leads: start manage.py run_relay", "bad")),
        ("Process", relay.holder or NOTHING),
        ("Position", f"{relay.position:,}"),
        ("End of the feed", f"{known.mark:,}"),
        ("To relay", kafka_tables.lag_badge(relay.behind)),
        ("Oldest of these", f"{relay.seconds:.1f} s" if relay.behind and relay.seconds is not None else NOTHING),
        ("Moved last", f"{relay.advanced_seconds:,.0f} s ago"),
        ("Term", relay.epoch),
        ("Lease, left", f"{relay.lease_seconds_left:.1f} s" if relay.leads else NOTHING),
    ]
