"""A receiver on the loopback, and the settings that permit it."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from ops.conf import get_settings
from ops.models import ApiClient
from ops.webhooks import queue, subscriptions
from ops.webhooks.models import Webhook, WebhookDelivery, WebhookLane
from ops.webhooks.worker import Sender
from tests.ops.webhooks.receiver import Receiver, free_port, receiving

Delivered, Failed, Pending = "delivered", "failed", "pending"


class Configure:
    """Sets environment variables, for the rest of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, **settings: str) -> None:
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        get_settings.cache_clear()


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    yield Configure(monkeypatch)
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def port(configure: Configure) -> int:
    """One that may be sent to, on this machine, without TLS."""
    port = free_port()
    configure(
        WEBHOOK_ALLOW_HTTP="true",
        WEBHOOK_ALLOW_PRIVATE_ADDRESSES="true",
        WEBHOOK_ALLOWED_PORTS=str(port),
        WEBHOOK_CONNECT_TIMEOUT="2",
        WEBHOOK_TIMEOUT="4",
        WEBHOOK_LEASE="7",
        WEBHOOK_POLL_MS="20",
    )
    return port


@pytest.fixture
def receiver(port: int) -> Iterator[Receiver]:
    with receiving(port) as receiver:
        yield receiver


@pytest.fixture
def webhook(db: None, port: int) -> Webhook:
    return a_webhook(port)


def a_webhook(port: int, *, client: str = "acme", path: str = "/hook") -> Webhook:
    owner, _ = ApiClient.objects.get_or_create(name=client)
    made, _ = subscriptions.subscribe(
        client=owner, url=f"http://127.0.0.1:{port}{path}", event_types=["Happened"], starts_after=0
    )
    return made


def message(webhook: Webhook, *, key: UUID | None = None, sequence: int = 1, **fields: object) -> WebhookDelivery:
    """One more message, waiting to be sent."""
    delivery = WebhookDelivery(
        webhook=webhook,
        event_id=uuid4(),
        event_type="Happened",
        key=key or uuid4(),
        sequence=sequence,
        body=f'{{"n": {sequence}}}',
        needs_full_reach=False,
    )
    for name, value in fields.items():
        setattr(delivery, name, value)
    queue.enqueue([delivery])
    return delivery


def send_due() -> int:
    return Sender(8).run_until_idle()


def make_due() -> None:
    """The time until the next tries has passed."""
    WebhookLane.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    Webhook.objects.update(not_before=None)


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("sequence", "id").values_list("state", flat=True))
