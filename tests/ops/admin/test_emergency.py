"""Ending sessions, resetting the pools and cleaning up from the admin: previewed, confirmed once, with a reason, on
record; for nobody who may not."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from django.test import Client

from ops.admin import procedure
from ops.board import facts
from ops.conf import get_settings
from ops.database import pool_facts
from ops.detectors import looking
from ops.jobs import running
from ops.models import Approval, AuditEntry, Job, Resolution
from tests.bank import Bank
from tests.ops.admin.dialog import asked, confirm, decide, page_text, preview
from tests.ops.commands.test_terminate_transactions import foreign, lives, own, transaction  # noqa: F401  # fixtures
from tests.ops.debug.test_debug import old_record  # noqa: F401  # a fixture
from tests.staff import make_staff, sign_in, signed_in

# ruff: noqa: F811  # fixtures are imported, and named as parameters

PAGE = "/admin/ops/operationsaccess/"
LONG, RESET, CLEAN = (f"{PAGE}{name}/" for name in ("end-transactions", "reset-pools", "clean-up"))
OLD = {"how": "terminate", "older_than": "1"}


@pytest.fixture(autouse=True)
def own_eye(db: None) -> Iterator[None]:
    yield
    looking.close()


@pytest.fixture
def operator(bank: Bank) -> Client:
    return signed_in(make_staff("operator"))


def session_page(conn: psycopg.Connection) -> str:
    return f"{PAGE}end-session/{conn.info.backend_pid}/"


def test_long_transactions_are_listed_and_then_those_are_ended_and_no_others(
    operator: Client, own: psycopg.Connection, foreign: psycopg.Connection
) -> None:
    time.sleep(1.0)
    pid = own.info.backend_pid
    text, note = preview(operator, LONG, **OLD)
    assert f"End session {pid}" in text.split("left alone")[0]
    assert str(foreign.info.backend_pid) in text.split("left alone")[1]
    assert not Resolution.objects.exists()

    with transaction(get_settings().database_url.get_secret_value(), "bankes:worker") as later:
        time.sleep(1.1)
        approval = asked(confirm(operator, LONG, note))
        assert lives(own), "it takes a second person"
        approval = decide(signed_in(make_staff("supervisor")), approval)
        assert approval.result == [f"Session {pid}: done."]
        assert (lives(own), lives(foreign), lives(later)) == (False, True, True), "only what was listed"
    [done] = Resolution.objects.all()
    assert (done.action, done.outcome, done.actor) == ("terminate", "done", "staff:operator")
    assert "approved by staff:supervisor" in done.reason
    entry = AuditEntry.objects.get(action="ask_terminate")
    assert (entry.actor, entry.reason, entry.address) == ("staff:operator", "the feed stood still", "127.0.0.1")
    entry = AuditEntry.objects.get(action="approve_terminate")
    assert (entry.actor, entry.reason) == ("staff:supervisor", "I looked at it")
    deed = AuditEntry.objects.get(action="terminate", subject="installation")
    assert (deed.actor, deed.detail["approved_by"]) == ("staff:operator", "staff:supervisor")
    assert deed.detail["report"] == [f"Session {pid}: done."]


def test_one_session_has_its_statement_cancelled_or_is_ended(operator: Client, own: psycopg.Connection) -> None:
    text, note = preview(operator, session_page(own), how="cancel")
    assert f"Cancel the statement of session {own.info.backend_pid}" in text
    confirm(operator, session_page(own), note)
    assert lives(own), "it had no statement under way, and keeps its session"
    kept = Job.objects.get(action="end_session")
    assert (kept.state, kept.report) == ("done", [f"Session {own.info.backend_pid}: done."]), "the report stays"

    approval = asked(confirm(operator, session_page(own), preview(operator, session_page(own), how="terminate")[1]))
    assert lives(own)
    decide(signed_in(make_staff("supervisor")), approval)
    assert not lives(own)
    assert [done.action for done in Resolution.objects.order_by("id")] == ["cancel", "terminate"]


def test_a_session_that_went_on_to_another_transaction_is_spared(operator: Client, own: psycopg.Connection) -> None:
    _, note = preview(operator, session_page(own), how="terminate")
    approval = asked(confirm(operator, session_page(own), note))
    _, note = preview(operator, session_page(own), how="cancel")
    own.rollback()
    own.execute("SELECT 1")
    supervisor = signed_in(make_staff("supervisor"))
    assert "cannot be approved any more" in page_text(supervisor.get(f"/admin/ops/approval/{approval.pk}/change/"))
    assert decide(supervisor, approval).state == "stale"
    told = page_text(confirm(operator, session_page(own), note))
    assert f"Session {own.info.backend_pid}: it was over by then." in told
    assert lives(own)


def test_a_session_of_somebody_else_is_never_ended_from_here(operator: Client, foreign: psycopg.Connection) -> None:
    text, note = preview(operator, session_page(foreign), how="terminate")
    assert "There is nothing to do" in text
    assert note == ""
    assert lives(foreign)


def test_a_session_that_is_not_there_and_the_page_s_own_are_refused(operator: Client) -> None:
    assert "There is no session 1 any more" in preview(operator, f"{PAGE}end-session/1/", how="cancel")[0]
    connection.ensure_connection()
    url = f"{PAGE}end-session/{connection.connection.info.backend_pid}/"
    assert "the one that this page works with" in preview(operator, url, how="terminate")[0]


def test_the_pools_are_listed_and_then_reset(operator: Client) -> None:
    connection.ensure_connection()
    facts.tell()
    before = pool_facts()[0]["reset_at"]
    text, note = preview(operator, RESET)
    assert "in use" in text
    facts.tell()
    assert pool_facts()[0]["reset_at"] == before, "a preview changes nothing"

    assert "1 of 1 pools were reset." in page_text(confirm(operator, RESET, note))
    facts.tell()
    assert pool_facts()[0]["reset_at"] != before
    [done] = Resolution.objects.all()
    assert (done.action, done.actor, done.reason) == ("reset_pool", "staff:operator", "the feed stood still")
    assert AuditEntry.objects.filter(action="reset_pools", actor="staff:operator").count() == 1


@pytest.mark.usefixtures("old_record")
def test_the_cleanup_lists_by_kind_and_then_removes(bank: Bank) -> None:
    from eventstore.models import IdempotencyRecord

    operator = signed_in(make_staff("operator"))
    text, note = preview(operator, CLEAN)
    assert "1 idempotency records" in text
    assert IdempotencyRecord.objects.count() == 2

    approval = asked(confirm(operator, CLEAN, note))
    assert IdempotencyRecord.objects.count() == 2, "it takes a second person"
    approval = decide(signed_in(make_staff("supervisor")), approval)
    assert IdempotencyRecord.objects.count() == 2, "a worker does it"
    job = Job.objects.get(key=f"approval:{approval.pk}")
    assert running.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.asked_by, job.approved_by) == ("done", "staff:operator", "staff:supervisor")
    assert "1 idempotency records" in job.report
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]
    assert "1 idempotency records" in AuditEntry.objects.get(action="cleanup").detail["report"]


def test_where_there_is_nothing_to_clean_up_there_is_nothing_to_confirm(operator: Client) -> None:
    text, note = preview(operator, CLEAN)
    assert "There is nothing to do" in text
    assert note == ""


def test_a_preview_counts_once_and_for_its_own_person_and_procedure_and_only_while_it_is_fresh(
    operator: Client, own: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(1.0)
    _, note = preview(operator, LONG, **OLD)
    supervisor = signed_in(make_staff("supervisor"))
    for browser, url, sent in (
        (supervisor, LONG, note),
        (operator, RESET, note),
        (operator, session_page(own), note),
        (operator, LONG, note[:-3] + "xxx"),
        (operator, LONG, ""),
    ):
        answer = browser.post(url, {"confirmed": sent}, follow=True)
        assert "Nothing was done: that preview is too old or was used before" in page_text(answer)
    with monkeypatch.context() as patch:
        patch.setattr(procedure, "CONFIRM_WITHIN", -1)
        assert confirm(operator, LONG, note).status_code == 302
    assert lives(own)
    assert not Resolution.objects.exists()

    approval = asked(confirm(operator, LONG, note))
    assert confirm(operator, LONG, note).headers["Location"] == LONG, "sent a second time"
    assert Approval.objects.get() == approval
    assert lives(own)


@pytest.mark.parametrize(
    ("url", "fields", "message"),
    [
        (LONG, OLD | {"reason": " "}, "Say why"),
        (LONG, OLD | {"older_than": "0"}, "Write at least 1 second"),
        (LONG, OLD | {"older_than": "soon"}, "Write a number of seconds"),
        (LONG, OLD | {"how": "kill"}, "kill is not one of the available choices"),
        (RESET, {"reason": ""}, "Say why"),
        (CLEAN, {"reason": ""}, "Say why"),
    ],
)
def test_a_form_that_is_not_complete_leads_to_no_preview(
    operator: Client, own: psycopg.Connection, url: str, fields: dict[str, str], message: str
) -> None:
    text, note = preview(operator, url, **fields)
    assert message in text
    assert note == ""
    assert lives(own)
    assert not Resolution.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_gets_no_form_changes_nothing_and_is_recorded(role: str, own: psycopg.Connection) -> None:
    staff = signed_in(make_staff(role))
    urls = (LONG, RESET, CLEAN, session_page(own))
    for url in urls:
        assert staff.get(url).status_code == 403
        assert staff.post(url, {**OLD, "reason": "x"}).status_code == 403
        assert staff.post(url, {"confirmed": "x"}).status_code == 403
    assert lives(own)
    assert not Resolution.objects.exists()
    assert AuditEntry.objects.filter(outcome="refused", actor=f"staff:{role}").count() == 2 * len(urls)


def test_a_forged_post_without_the_csrf_token_is_refused(own: psycopg.Connection) -> None:
    browser = Client(enforce_csrf_checks=True)
    sign_in(browser, make_staff("operator"))
    assert browser.post(LONG, {**OLD, "reason": "x"}).status_code == 403
    assert lives(own)


def test_a_procedure_that_fails_says_so_and_names_the_command(
    operator: Client, own: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, note = preview(operator, session_page(own), how="cancel")

    def blind(*args: object) -> None:
        raise TimeoutError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(looking.Eye, "_ask", blind)
        answer = operator.post(session_page(own), {"confirmed": note})
    assert answer.status_code == 302
    assert lives(own)
    entry = AuditEntry.objects.get(action="end_session")
    assert entry.outcome == "refused"
    assert "manage.py terminate_transactions does the same" in entry.detail["message"]
