"""Turns events into messages for the webhooks of API clients: once each, in the transaction of the checkpoint.

A webhook gets the events of the types that it asked for, recorded after its making, of accounts that its client may
read at the moment when the message is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import orjson

from accounts.api.representations import WebhookEventSerializer
from accounts.domain.events import EVENT_CLASSES
from accounts.models import Account
from eventstore.events import StoredEvent
from eventstore.projections import Projection
from ops.webhooks import queue
from ops.webhooks.models import Webhook, WebhookDelivery

Events = list[StoredEvent]


class Care(NamedTuple):
    """What never changes of an account."""

    custodian: str
    currency: str


class Webhooks(Projection[Events]):
    """Its rows are sent: it begins at the end of the feed, and is never rebuilt, replayed or wound back."""

    name = "webhooks"
    has_side_effects = True
    tables: ClassVar[tuple[str, ...]] = ()
    handles = frozenset(EVENT_CLASSES)
    ignores: ClassVar[frozenset[str]] = frozenset()

    def is_idle(self) -> bool:
        return not queue.listeners()

    def new_batch(self) -> Events:
        return []

    def gather(self, stored: StoredEvent, batch: Events) -> None:
        batch.append(stored)

    def write(self, batch: Events, cursor: Any) -> None:
        listeners = queue.listeners() if batch else []
        wanted = {event_type for webhook in listeners for event_type in webhook.event_types}
        events = [stored for stored in batch if stored.event_type in wanted]
        if events:
            accounts = _accounts(events)
            queue.enqueue([message for stored in events for message in _messages(stored, listeners, accounts)])


def _accounts(events: Sequence[StoredEvent]) -> dict[UUID, Care]:
    rows = Account.objects.filter(id__in={stored.aggregate_id for stored in events})
    return {
        id_: Care(custodian, currency) for id_, custodian, currency in rows.values_list("id", "custodian", "currency")
    }


def _messages(
    stored: StoredEvent, listeners: Sequence[Webhook], accounts: Mapping[UUID, Care]
) -> list[WebhookDelivery]:
    account = accounts[stored.aggregate_id]
    chosen = [webhook for webhook in listeners if _is_for(webhook, stored, account)]
    if not chosen:
        return []
    body = render(stored, account.currency)
    return [
        WebhookDelivery(
            webhook=webhook,
            event_id=stored.event_id,
            event_type=stored.event_type,
            key=stored.aggregate_id,
            sequence=stored.version,
            body=body,
            needs_full_reach=webhook.client.actor != account.custodian,
        )
        for webhook in chosen
    ]


def _is_for(webhook: Webhook, stored: StoredEvent, account: Care) -> bool:
    return (
        stored.event_type in webhook.event_types
        and stored.position > webhook.starts_after
        and webhook.client.custodian in (None, account.custodian)
    )


def render(stored: StoredEvent, currency: str) -> str:
    """The message: the event as the API shows it."""
    message = WebhookEventSerializer(stored, context={"currency": currency}).data
    return orjson.dumps(message).decode()
