# ruff: noqa: F811  # fixtures are imported, and named as parameters
"""A client subscribes to events, sees what became of the messages, and sees nothing of other clients."""

import os
import time
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from accounts.api.scopes import ACCOUNTS_READ, WEBHOOKS_MANAGE
from accounts.projections.webhooks import Webhooks
from eventstore.projections.runner import catch_up
from ops.models import ApiKey
from ops.webhooks.models import Webhook, WebhookDelivery
from ops.webhooks.signing import VERIFY
from ops.webhooks.worker import Sender
from tests.accounts.api.caller import ALL_SCOPES, Caller, fields_at_fault, new_caller, openapi, refusal
from tests.bank import Bank
from tests.ops.webhooks.conftest import Configure, configure, port, receiver  # noqa: F401  # fixtures
from tests.ops.webhooks.receiver import Receiver, status

URL = "https://hooks.example.com/bankes"


@pytest.fixture
def acme(bank: Bank) -> Caller:
    return new_caller("acme", scopes=(*ALL_SCOPES, WEBHOOKS_MANAGE))


@pytest.fixture
def other(bank: Bank) -> Caller:
    return new_caller("other", scopes=(*ALL_SCOPES, WEBHOOKS_MANAGE))


def create(caller: Caller, url: str = URL, event_types: tuple[str, ...] = ("Deposited",)) -> dict[str, str]:
    answer = caller.post("/webhooks", {"url": url, "event_types": list(event_types)}, key=None)
    assert answer.status_code == 201, answer.content
    made: dict[str, str] = answer.json()
    return made


def delete(caller: Caller, path: str) -> int:
    return caller._send("DELETE", path, None, {}, None).status_code


def deposit(caller: Caller, account_id: str) -> None:
    assert caller.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}).status_code == 200


def test_a_webhook_is_made_and_its_secret_shown_once(acme: Caller) -> None:
    made = create(acme, event_types=("Withdrawn", "Deposited", "Deposited"))

    shown = acme.get(f"/webhooks/{made['id']}").json()
    assert made == shown | {"secret": made["secret"]}
    assert (shown["url"], shown["event_types"], shown["state"]) == (URL, ["Deposited", "Withdrawn"], "active")
    assert acme.get("/webhooks").json()["results"] == [shown]


def test_it_is_known_with_which_key_a_webhook_was_made(acme: Caller) -> None:
    create(acme)
    assert Webhook.objects.get().made_with == ApiKey.objects.get(client=acme.client)


def test_an_event_arrives_signed_with_the_secret(
    acme: Caller,
    receiver: Receiver,
    port: int,
) -> None:
    made = create(acme, f"http://127.0.0.1:{port}/hook")
    account_id = acme.open()
    deposit(acme, account_id)
    catch_up([Webhooks()])
    Sender(4).run_until_idle()

    [got] = receiver.received
    snippet: dict[str, object] = {}
    exec(VERIFY, snippet)  # noqa: S102 - the published snippet, as it stands
    verify = snippet["is_from_the_bank"]
    assert verify(made["secret"], got.headers["Bankes-Signature"], got.body)  # type: ignore[operator]
    assert abs(int(got.headers["Bankes-Signature"].split(",")[0][2:]) - time.time()) < 10
    assert (got.message["type"], got.message["account_id"], got.message["version"]) == ("Deposited", account_id, 2)
    assert got.message["id"] == got.headers["Bankes-Event-Id"]

    [delivery] = acme.get(f"/webhooks/{made['id']}/deliveries").json()["results"]
    assert (delivery["state"], delivery["id"]) == ("delivered", got.headers["Bankes-Delivery-Id"])
    detail = acme.get(f"/webhooks/{made['id']}/deliveries/{delivery['id']}").json()
    assert [attempt["status"] for attempt in detail["tries"]] == [204]


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_rotation_both_secrets_verify(acme: Caller, receiver: Receiver, port: int, times: int) -> None:
    made = create(acme, f"http://127.0.0.1:{port}/hook")
    for _ in range(times):
        replaced = acme.post(f"/webhooks/{made['id']}/secret", key=None).json()
    deposit(acme, acme.open())
    catch_up([Webhooks()])
    Sender(4).run_until_idle()

    [got] = receiver.received
    snippet: dict[str, object] = {}
    exec(VERIFY, snippet)  # noqa: S102 - the published snippet, as it stands
    for secret in (made["secret"], replaced["secret"]):
        assert snippet["is_from_the_bank"](secret, got.headers["Bankes-Signature"], got.body)  # type: ignore[operator]
    assert made["secret"] != replaced["secret"]


def test_deliveries_are_listed_by_state_and_sent_again_on_request(
    acme: Caller,
    receiver: Receiver,
    port: int,
    configure: Configure,
) -> None:
    configure(WEBHOOK_MAX_ATTEMPTS="1")
    receiver.answers = [status(500, b"broken")]
    made = create(acme, f"http://127.0.0.1:{port}/hook")
    account_id = acme.open()
    for _ in range(3):
        deposit(acme, account_id)
    catch_up([Webhooks()])
    Sender(4).run_until_idle()
    path = f"/webhooks/{made['id']}/deliveries"

    [failed] = acme.get(path, {"state": "failed"}).json()["results"]
    assert acme.get(f"{path}/{failed['id']}").json()["tries"][0]["answer"] == "broken"
    page = acme.get(path, {"page_size": "2"}).json()
    rest = acme.get(path, {"page_size": "2", "cursor": page["next_cursor"]}).json()
    assert [row["version"] for row in page["results"] + rest["results"]] == [4, 3, 2]
    assert fields_at_fault(acme.get(path, {"state": "lost"})) == {"state": "validation_failed"}

    again = acme.post(f"{path}/{failed['id']}/redeliver", key=None)
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    Sender(4).run_until_idle()
    assert [got.message["version"] for got in receiver.received] == [2, 3, 4, 2]
    assert acme.get(path, {"state": "failed"}).json()["results"] == []


def test_a_paused_webhook_tells_why_and_can_be_resumed(
    acme: Caller,
    receiver: Receiver,
    port: int,
) -> None:
    receiver.answers = [status(410)]
    made = create(acme, f"http://127.0.0.1:{port}/hook")
    deposit(acme, acme.open())
    catch_up([Webhooks()])
    Sender(4).run_until_idle()

    shown = acme.get(f"/webhooks/{made['id']}").json()
    assert (shown["state"], "410 Gone" in shown["paused_reason"]) == ("paused", True)
    assert acme.post(f"/webhooks/{made['id']}/resume", key=None).json()["state"] == "active"


def test_a_deleted_webhook_is_gone_and_its_url_free(acme: Caller) -> None:
    made = create(acme)
    assert delete(acme, f"/webhooks/{made['id']}") == 204
    assert refusal(acme.get(f"/webhooks/{made['id']}")) == (404, "webhook_not_found")
    assert delete(acme, f"/webhooks/{made['id']}") == 404
    assert acme.get("/webhooks").json()["results"] == []
    create(acme)


def test_a_client_sees_nothing_of_anothers_webhooks(acme: Caller, other: Caller) -> None:
    made = create(acme)
    deposit(acme, acme.open())
    catch_up([Webhooks()])
    delivery = WebhookDelivery.objects.get()
    before = (Webhook.objects.values().get(), WebhookDelivery.objects.values().get())
    path = f"/webhooks/{made['id']}"

    assert other.get("/webhooks").json()["results"] == []
    for answer in (
        other.get(path),
        other.get(f"{path}/deliveries"),
        other.get(f"{path}/deliveries/{delivery.pk}"),
        other.post(f"{path}/deliveries/{delivery.pk}/redeliver", key=None),
        other.post(f"{path}/secret", key=None),
        other.post(f"{path}/resume", key=None),
        other._send("DELETE", path, None, {}, None),
    ):
        assert refusal(answer) == (404, "webhook_not_found")
    own = create(other)
    assert refusal(other.get(f"/webhooks/{own['id']}/deliveries/{delivery.pk}")) == (404, "delivery_not_found")
    assert (Webhook.objects.exclude(pk=own["id"]).values().get(), WebhookDelivery.objects.values().get()) == before


def test_a_key_without_the_scope_does_nothing(bank: Bank, acme: Caller) -> None:
    made = create(acme)
    reader = new_caller("acme", scopes=(ACCOUNTS_READ,))
    path = f"/webhooks/{made['id']}"
    for answer in (
        reader.get("/webhooks"),
        reader.post("/webhooks", {"url": "https://a.example.com/", "event_types": ["Deposited"]}, key=None),
        reader.get(path),
        reader.post(f"{path}/secret", key=None),
        reader._send("DELETE", path, None, {}, None),
    ):
        assert refusal(answer) == (403, "permission_denied")
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": URL}, {"event_types": "validation_failed"}),
        ({"url": URL, "event_types": []}, {"event_types": "validation_failed"}),
        ({"url": URL, "event_types": ["Lost"]}, {"event_types.0": "validation_failed"}),
        ({"url": URL, "event_types": "Deposited"}, {"event_types": "validation_failed"}),
        ({"url": 5, "event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": URL, "event_types": ["Deposited"], "events": []}, {"events": "unknown_field"}),
        ({"url": "http://hooks.example.com/", "event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": "https://169.254.169.254/latest", "event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": "https://localhost/", "event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": "https://0x7f000001/", "event_types": ["Deposited"]}, {"url": "validation_failed"}),
        ({"url": "https://u:p@hooks.example.com/", "event_types": ["Deposited"]}, {"url": "validation_failed"}),
    ],
)
def test_what_cannot_be_subscribed_is_refused_by_field(acme: Caller, body: dict, at_fault: dict[str, str]) -> None:
    answer = acme.post("/webhooks", body, key=None)
    assert answer.status_code == 400
    assert fields_at_fault(answer) == at_fault
    assert not Webhook.objects.exists()


def test_a_body_in_chunks_is_asked_for_with_its_length(acme: Caller) -> None:
    answer = acme.post("/webhooks", b"", key=None, Transfer_Encoding="chunked")

    assert refusal(answer) == (400, "malformed_request")
    assert "Content-Length" in answer.json()["detail"]
    assert not Webhook.objects.exists()


def test_methods_that_are_not_offered_are_405_with_those_that_are(acme: Caller) -> None:
    path = f"/webhooks/{create(acme)['id']}"
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE"):
        for at, offered in (
            (path, "GET, HEAD, DELETE"),
            ("/webhooks", "GET, HEAD, POST"),
            (f"{path}/secret", "POST"),
        ):
            answer = acme._send(method, at, None, {}, None)
            assert refusal(answer) == (405, "method_not_allowed")
            assert answer["Allow"] == offered
    assert acme.get(path).json()["state"] == "active"


def test_the_same_url_twice_and_too_many_are_refused(acme: Caller, configure: Configure) -> None:
    configure(WEBHOOK_MAX_PER_CLIENT="2")
    made = create(acme)
    twice = acme.post("/webhooks", {"url": URL, "event_types": ["Withdrawn"]}, key=None)
    assert refusal(twice) == (409, "webhook_exists")
    assert twice.json()["webhook_id"] == made["id"]
    create(acme, URL + "/2")
    third = acme.post("/webhooks", {"url": URL + "/3", "event_types": ["Withdrawn"]}, key=None)
    assert refusal(third) == (422, "webhook_limit_reached")
    assert Webhook.objects.count() == 2


def test_an_id_that_leads_nowhere(acme: Caller) -> None:
    made = create(acme)
    assert refusal(acme.get(f"/webhooks/{uuid4()}")) == (404, "webhook_not_found")
    assert refusal(acme.get(f"/webhooks/{made['id']}/deliveries/{uuid4()}")) == (404, "delivery_not_found")


def test_the_documentation_tells_what_is_promised_and_how_to_verify() -> None:
    told = openapi()["paths"]["/api/v1/webhooks"]["post"]["description"]
    assert VERIFY in told
    for words in ("at least once", "Bankes-Event-Id", "there is no order"):
        assert words in told


def test_a_change_whose_answer_was_lost_is_not_said_to_be_undone(
    acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = psycopg.Connection.commit

    def losing(self: psycopg.Connection) -> None:
        monkeypatch.undo()
        commit(self)
        self.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(psycopg.Connection, "commit", losing)
    answer = acme.post("/webhooks", {"url": URL, "event_types": ["Deposited"]}, key=None)

    assert refusal(answer) == (503, "outcome_unknown")
    assert "may have been made all the same: look at your webhooks" in answer.json()["detail"]
    assert Webhook.objects.get().url == URL


def test_a_change_that_gets_no_lock_in_time_is_said_to_be_undone(acme: Caller) -> None:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as holder, connection.cursor() as cursor:
        holder.execute("SELECT FROM ops_apiclient FOR UPDATE")
        cursor.execute("SET lock_timeout = '150ms'")
        answer = acme.post("/webhooks", {"url": URL, "event_types": ["Deposited"]}, key=None)
        cursor.execute("RESET lock_timeout")  # the session goes back to the pool
        holder.rollback()

    assert refusal(answer) == (503, "overloaded")
    assert "Nothing was done" in answer.json()["detail"]
    assert not Webhook.objects.exists()
