"""API clients and their keys: made by supervisors, shown once, revoked with a reason."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client

from ops.access.keys import InvalidKey, check_token, issue_key
from ops.models import ApiClient, ApiKey, AuditEntry
from ops.webhooks import subscriptions
from ops.webhooks.models import Webhook
from tests.processes import wait_until
from tests.staff import make_staff, signed_in
from tests.threads import together

ISSUE = "/admin/ops/apikey/issue/"
TOKEN = re.compile(r"bk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def supervisor(db: None) -> Client:
    return signed_in(make_staff("supervisor"))


@pytest.fixture
def acme(db: None) -> ApiClient:
    return ApiClient.objects.create(name="acme")


def issue(desk: Client, acme: ApiClient, **fields: Any) -> Any:
    """Opens the form and sends it."""
    once = desk.get(ISSUE).context["once"]
    form = {
        "once": once,
        "client": acme.pk,
        "scopes": ["accounts:read"],
        "expires_on": tomorrow(),
        "reason": "a test",
    }
    return desk.post(ISSUE, {**form, **fields})


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


@pytest.mark.parametrize(("path", "title"), [("apikey", "API keys"), ("webhook", "Webhooks")])
def test_a_list_is_titled_as_the_menu_calls_it(supervisor: Client, path: str, title: str) -> None:
    page = supervisor.get(f"/admin/ops/{path}/")

    assert page.context["title"] == title


def test_a_key_is_shown_once_and_works(supervisor: Client, acme: ApiClient) -> None:
    page = issue(supervisor, acme, scopes=["accounts:read", "ops:read"])

    (token,) = set(TOKEN.findall(page.content.decode()))
    key = check_token(token)
    assert (key.client, key.scopes) == (acme, ["accounts:read", "ops:read"])
    assert key.created_by is not None
    assert "no-store" in page.headers["Cache-Control"]
    for path in (
        "/admin/ops/apikey/",
        f"/admin/ops/apikey/{key.pk}/change/",
        f"/admin/ops/apiclient/{acme.pk}/change/",
    ):
        later = supervisor.get(path).content.decode()
        assert token not in later
        assert bytes(key.digest).hex() not in later
    (entry,) = entries("issue_key")
    assert (entry.actor, entry.reason, entry.outcome) == ("staff:supervisor", "a test", "done")
    assert entry.detail["client"] == "acme"
    assert token not in str(entry.__dict__)


def test_a_key_works_until_the_end_of_its_last_day(supervisor: Client, acme: ApiClient) -> None:
    last = (datetime.now(UTC) + timedelta(days=30)).date()

    issue(supervisor, acme, expires_on=last.isoformat())

    assert ApiKey.objects.get().expires_at == datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(
        days=1
    )


def test_sending_the_form_again_issues_no_second_key(supervisor: Client, acme: ApiClient) -> None:
    once = supervisor.get(ISSUE).context["once"]
    issue(supervisor, acme, once=once)

    again = issue(supervisor, acme, once=once)

    assert again.headers["Location"] == "/admin/ops/apikey/"
    assert ApiKey.objects.count() == 1
    assert "no second key was issued" in supervisor.get("/admin/ops/apikey/").content.decode()


def test_a_form_that_is_sent_twice_at_once_issues_one_key(
    supervisor: Client, acme: ApiClient, sweeper: psycopg.Connection
) -> None:
    """Both have read the session, with the ticket in it, before either has taken the ticket out."""
    once = supervisor.get(ISSUE).context["once"]
    form = {"client": acme.pk, "scopes": ["accounts:read"], "expires_on": tomorrow(), "reason": "a double click"}

    with psycopg.connect(os.environ["DATABASE_URL"]) as holding, ThreadPoolExecutor(1) as pool:
        holding.execute("SELECT FROM ops_staffsession FOR UPDATE")
        sent = pool.submit(together, [lambda: supervisor.post(ISSUE, {**form, "once": once})] * 2)
        wait_until(lambda: sent.done() or how_many_wait_for_locks(sweeper) == 2)
        holding.commit()
        answers = sent.result()

    assert sorted(answer.status_code for answer in answers) == [200, 302]
    assert ApiKey.objects.count() == 1
    assert len(entries("issue_key")) == 1
    supervisor.post(ISSUE, {**form, "once": once})
    assert ApiKey.objects.count() == 1, "whoever was turned away has not brought the ticket back"


def how_many_wait_for_locks(conn: psycopg.Connection) -> int:
    (count,) = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone() or (0,)
    return int(count)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"expires_on": "2020-01-01"}, "expires_on"),
        ({"expires_on": "2199-01-01"}, "expires_on"),
        ({"expires_on": "soon"}, "expires_on"),
        ({"client": "99"}, "client"),
        ({"reason": ""}, "reason"),
    ],
)
def test_a_wrong_field_is_told_and_no_key_is_issued(
    supervisor: Client, acme: ApiClient, fields: dict[str, Any], field: str
) -> None:
    answer = issue(supervisor, acme, **fields)

    assert list(answer.context["form"].errors) == [field]
    assert ApiKey.objects.count() == 0
    assert entries("issue_key") == []
    assert issue(supervisor, acme, once=answer.context["once"]).status_code == 200
    assert ApiKey.objects.count() == 1


def test_a_key_is_not_issued_for_a_client_that_is_not_active(supervisor: Client) -> None:
    asleep = ApiClient.objects.create(name="asleep", is_active=False)

    assert list(issue(supervisor, asleep).context["form"].errors) == ["client"]


def test_a_revoked_key_opens_nothing(supervisor: Client, acme: ApiClient) -> None:
    key, token = issue_key(
        client=acme, scopes=["ops:read"], expires_at=datetime.now(UTC) + timedelta(days=1), issued_by=None
    )

    assert "opens nothing" not in supervisor.get(f"/admin/ops/apikey/{key.pk}/revoke/").content.decode()
    without_reason = supervisor.post(f"/admin/ops/apikey/{key.pk}/revoke/", {"reason": " "})
    assert list(without_reason.context["form"].errors) == ["reason"]
    assert check_token(token)

    for _ in range(2):
        supervisor.post(f"/admin/ops/apikey/{key.pk}/revoke/", {"reason": "It leaked"})

    with pytest.raises(InvalidKey):
        check_token(token)
    (entry,) = entries("revoke_key")
    assert (entry.subject, entry.reason) == (f"apikey:{key.prefix}", "It leaked")


def subscribe(key: ApiKey, path: str) -> Webhook:
    made, _ = subscriptions.subscribe(
        client=key.client,
        url=f"https://hooks.example.com/{path}",
        event_types=["Deposited"],
        starts_after=0,
        made_with=key,
    )
    return made


def test_who_revokes_a_key_is_told_of_the_webhooks_that_go_on(supervisor: Client, acme: ApiClient) -> None:
    day = datetime.now(UTC) + timedelta(days=1)
    stolen, other = (issue_key(client=acme, scopes=["ops:read"], expires_at=day, issued_by=None)[0] for _ in range(2))
    active, deleted, others = subscribe(stolen, "active"), subscribe(stolen, "deleted"), subscribe(other, "others")
    subscriptions.unsubscribe(deleted.pk)
    told, where = "1 webhook made with it is active and not ended by this", f"/admin/ops/webhook/?key={stolen.prefix}"

    before = supervisor.get(f"/admin/ops/apikey/{stolen.pk}/revoke/").content.decode()
    after = supervisor.post(f"/admin/ops/apikey/{stolen.pk}/revoke/", {"reason": "It leaked"}, follow=True)

    for page in (before, after.content.decode()):
        assert told in page
        assert f'href="{where}"' in page
    listed = supervisor.get(where).content.decode()
    assert active.url in listed
    assert others.url not in listed
    assert f"{stolen.prefix}…" in supervisor.get(f"/admin/ops/webhook/{active.pk}/change/").content.decode()
    active.refresh_from_db()
    assert active.state == Webhook.State.ACTIVE


def test_nothing_is_told_of_webhooks_where_there_are_none(supervisor: Client, acme: ApiClient) -> None:
    issue(supervisor, acme, scopes=["ops:read"])
    key = ApiKey.objects.get()
    assert "made with it is" not in supervisor.get(f"/admin/ops/apikey/{key.pk}/revoke/").content.decode()


def test_looking_at_a_key_changes_nothing(supervisor: Client, acme: ApiClient) -> None:
    issue(supervisor, acme)
    key = ApiKey.objects.get()

    supervisor.get(f"/admin/ops/apikey/{key.pk}/revoke/")

    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_client_is_made_changed_and_never_deleted(supervisor: Client) -> None:
    form = {"name": "acme", "reach": "own", "is_active": "on", "reason": "A new partner"}
    assert supervisor.post("/admin/ops/apiclient/add/", form).status_code == 302
    acme = ApiClient.objects.get()

    changed = {"name": "renamed", "reach": "all", "reason": "They asked"}
    assert supervisor.post(f"/admin/ops/apiclient/{acme.pk}/change/", changed).status_code == 302
    assert supervisor.post(f"/admin/ops/apiclient/{acme.pk}/delete/", {"post": "yes"}).status_code == 403

    acme.refresh_from_db()
    assert (acme.name, acme.reach, acme.is_active) == ("acme", "all", False), "the name stands in events"
    assert [
        (e.action, e.reason) for e in AuditEntry.objects.filter(subject=f"apiclient:{acme.pk}").order_by("id")
    ] == [
        ("add_apiclient", "A new partner"),
        ("change_apiclient", "They asked"),
    ]


def give_key(client: ApiClient, scope: str) -> ApiKey:
    expires_at = datetime.now(UTC) + timedelta(days=1)
    return issue_key(client=client, scopes=[scope], expires_at=expires_at, issued_by=None)[0]


def widen(desk: Client, client: ApiClient) -> Any:
    form = {"reach": "all", "is_active": "on", "reason": "They want more"}
    return desk.post(f"/admin/ops/apiclient/{client.pk}/change/", form)


def test_nobody_alone_widens_the_reach_of_a_key_that_can_write(supervisor: Client, acme: ApiClient) -> None:
    key = give_key(acme, "payments:write")
    ApiClient.objects.update(is_active=False)

    answer = widen(supervisor, acme)

    (told,) = answer.context["adminform"].form.errors["reach"]
    assert key.prefix in told
    assert "revoke the key, and ask for a new one with the wider reach" in told
    acme.refresh_from_db()
    assert (acme.reach, acme.is_active) == ("own", False)
    assert entries("change_apiclient") == []

    supervisor.post(f"/admin/ops/apikey/{key.pk}/revoke/", {"reason": "For a new one"})
    assert widen(supervisor, acme).status_code == 302
    acme.refresh_from_db()
    assert acme.reach == "all"


@pytest.mark.parametrize(
    ("scope", "expired", "before"),
    [("accounts:read", 0, "own"), ("payments:write", 1, "own"), ("payments:write", 0, "all")],
)
def test_other_keys_are_no_hindrance(
    supervisor: Client, acme: ApiClient, scope: str, expired: int, before: str
) -> None:
    key = give_key(acme, scope)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=key.expires_at - timedelta(days=2 * expired))
    ApiClient.objects.update(reach=before)

    assert widen(supervisor, acme).status_code == 302

    acme.refresh_from_db()
    assert acme.reach == "all"


def test_a_change_without_a_reason_is_not_made(supervisor: Client, acme: ApiClient) -> None:
    answer = supervisor.post(f"/admin/ops/apiclient/{acme.pk}/change/", {"reach": "all", "is_active": "on"})

    assert "Say why" in answer.content.decode()
    acme.refresh_from_db()
    assert acme.reach == "own"
    assert entries("change_apiclient") == []
