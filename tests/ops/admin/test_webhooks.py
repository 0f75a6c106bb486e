# ruff: noqa: F811  # fixtures are imported, and named as parameters
"""Staff see webhooks and their log, and can pause, resume and send again; each time with a reason that is kept."""

import pytest
from django.test import Client

from ops.models import AuditEntry
from ops.webhooks.models import Webhook, WebhookDelivery
from ops.webhooks.worker import Sender
from tests.ops.webhooks.conftest import configure, message, port, receiver, webhook  # noqa: F401  # fixtures
from tests.ops.webhooks.receiver import Receiver, status
from tests.staff import make_staff, signed_in

REASON = {"reason": "the client asked for it"}
HOOKS, LOG = "/admin/ops/webhook/", "/admin/ops/webhookdelivery/"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_staff("operator"))


def test_the_log_shows_each_try_with_its_answer(operator: Client, webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [status(500, b"<b>out of order</b>")]
    delivery = message(webhook)
    Sender(2).run_until_idle()

    assert "Happened" in operator.get(LOG).content.decode()
    page = operator.get(f"{LOG}{delivery.pk}/change/").content.decode()
    assert "&lt;b&gt;out of order&lt;/b&gt;" in page
    assert "500" in page
    assert webhook.url in page
    assert "&quot;n&quot;: 1" in page


def test_the_log_can_be_narrowed(operator: Client, webhook: Webhook, receiver: Receiver) -> None:
    message(webhook)
    Sender(2).run_until_idle()
    assert str(webhook.pk) in operator.get(f"{LOG}?webhook={webhook.pk}&state=delivered").content.decode()
    assert "Nothing fits" in operator.get(f"{LOG}?webhook={webhook.pk}&state=failed").content.decode()
    assert "Nothing fits" in operator.get(f"{HOOKS}?client=nobody").content.decode()
    assert webhook.url in operator.get(f"{HOOKS}?client=acme").content.decode()


def test_no_page_shows_anything_of_the_secret(operator: Client, webhook: Webhook) -> None:
    from ops.webhooks.signing import secret_of

    pages = operator.get(HOOKS).content.decode() + operator.get(f"{HOOKS}{webhook.pk}/change/").content.decode()
    assert secret_of(webhook.salt)[6:20] not in pages
    assert bytes(webhook.salt).hex() not in pages


def test_pausing_and_resuming_take_a_reason_and_are_recorded(operator: Client, webhook: Webhook) -> None:
    for action, state in (("pause", "paused"), ("resume", "active")):
        path = f"{HOOKS}{webhook.pk}/{action}/"
        assert operator.get(path).status_code == 200
        assert operator.post(path, {}).status_code == 200
        webhook.refresh_from_db()
        assert webhook.state != state, "without a reason nothing is done"
        assert operator.post(path, REASON).status_code == 302
        webhook.refresh_from_db()
        assert webhook.state == state
    entries = AuditEntry.objects.filter(subject=f"webhook:{webhook.pk}").order_by("id")
    assert [(entry.action, entry.reason) for entry in entries] == [
        ("pause_webhook", REASON["reason"]),
        ("resume_webhook", REASON["reason"]),
    ]


def test_a_delivery_is_sent_again(operator: Client, webhook: Webhook, receiver: Receiver) -> None:
    delivery = message(webhook)
    Sender(2).run_until_idle()

    assert operator.post(f"{LOG}{delivery.pk}/again/", REASON).status_code == 302
    Sender(2).run_until_idle()

    assert len(receiver.received) == 2
    assert AuditEntry.objects.filter(action="redeliver_webhook", actor="staff:operator").count() == 1


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_changes_nothing_and_is_recorded(role: str, webhook: Webhook) -> None:
    delivery = message(webhook)
    before = (Webhook.objects.values().get(), WebhookDelivery.objects.values().get())
    staff = signed_in(make_staff(role))

    for path in (f"{HOOKS}{webhook.pk}/pause/", f"{HOOKS}{webhook.pk}/resume/", f"{LOG}{delivery.pk}/again/"):
        assert staff.post(path, REASON).status_code == 403
    assert (Webhook.objects.values().get(), WebhookDelivery.objects.values().get()) == before
    assert AuditEntry.objects.filter(outcome="refused", actor=f"staff:{role}").count() == 3
    sees = 200 if role == "auditor" else 403
    assert [staff.get(path).status_code for path in (HOOKS, LOG)] == [sees, sees]


def test_what_is_not_there_is_404(operator: Client, webhook: Webhook) -> None:
    nobody = "01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55"
    for path in (f"{HOOKS}{nobody}/change/", f"{HOOKS}{nobody}/pause/", f"{LOG}{nobody}/again/", f"{LOG}x/change/"):
        assert operator.get(path).status_code == 404
