"""An API key that can write takes two persons, and is shown once, to who asked for it."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
from django.test import Client
from django.utils import timezone

from ops.access.keys import check_token
from ops.approvals.models import Approval
from ops.models import ApiClient, ApiKey, AuditEntry
from tests.ops.admin.dialog import asked, decide, page_text
from tests.processes import wait_until
from tests.threads import together


def ask_for_key(browser: Client, client: ApiClient, *scopes: str) -> Any:
    once = browser.get("/admin/ops/apikey/issue/").context["once"]
    day = (timezone.now() + timedelta(days=9)).date().isoformat()
    form = {"once": once, "client": client.pk, "scopes": scopes, "expires_on": day, "reason": "a partner"}
    return browser.post("/admin/ops/apikey/issue/", form)


def test_a_key_that_can_write_is_approved_by_one_and_collected_once_by_who_asked(alice: Client, bob: Client) -> None:
    acme = ApiClient.objects.create(name="acme")
    approval = asked(ask_for_key(alice, acme, "payments:write", "accounts:read"))
    collect = f"/admin/ops/approval/{approval.pk}/collect/"
    alice.post(collect)
    assert not ApiKey.objects.exists(), "not before it is approved"

    assert decide(bob, approval).outcome == "collect"
    bob.post(collect)
    assert not ApiKey.objects.exists(), "it is not for the one who approved"
    answers = together([lambda: alice.post(collect)] * 3)

    tokens = {t for answer in answers for t in re.findall(r"bk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", page_text(answer))}
    key = ApiKey.objects.get()
    assert len(tokens) == 1
    assert check_token(tokens.pop()) == key
    assert (key.scopes, key.created_by.username) == (["accounts:read", "payments:write"], "alice")
    approval.refresh_from_db()
    assert approval.outcome == "done"
    entry = AuditEntry.objects.get(action="issue_key", outcome="done")
    assert (entry.actor, entry.detail["approved_by"]) == ("staff:alice", "staff:bob")


def test_a_key_is_not_issued_for_a_client_that_was_changed_since(alice: Client, bob: Client) -> None:
    acme = ApiClient.objects.create(name="acme")
    approval = asked(ask_for_key(alice, acme, "payments:write"))
    decide(bob, approval)
    ApiClient.objects.update(reach="all")
    alice.post(f"/admin/ops/approval/{approval.pk}/collect/")
    assert not ApiKey.objects.exists()


def test_a_key_is_not_collected_while_its_client_is_given_a_wider_reach(
    alice: Client, bob: Client, sweeper: psycopg.Connection
) -> None:
    acme = ApiClient.objects.create(name="acme")
    approval = asked(ask_for_key(alice, acme, "payments:write"))
    decide(bob, approval)

    with ThreadPoolExecutor(1) as pool, psycopg.connect(os.environ["DATABASE_URL"]) as widening:
        widening.execute("UPDATE ops_apiclient SET reach = 'all'")
        collecting = pool.submit(together, [lambda: alice.post(f"/admin/ops/approval/{approval.pk}/collect/")])
        wait_until(lambda: collecting.done() or waits_for(sweeper, widening.info.backend_pid))
        widening.commit()
        collecting.result()

    assert not ApiKey.objects.exists()


def waits_for(conn: psycopg.Connection, pid: int) -> bool:
    query = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
    return conn.execute(query, (pid,)).fetchone() is not None


def test_a_key_that_only_reads_takes_one_person(alice: Client) -> None:
    answer = ask_for_key(alice, ApiClient.objects.create(name="acme"), "accounts:read", "ops:read")
    assert answer.status_code == 200
    assert ApiKey.objects.count() == 1
    assert not Approval.objects.exists()
