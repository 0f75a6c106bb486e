"""Cancelling one operation from its row: previewed, confirmed, on record; only that one, and never a stranger."""

import os
import re
from collections.abc import Iterator

import psycopg
import pytest
from django.test import Client

from ops import operations
from ops.detectors import looking
from ops.models import Approval, AuditEntry, Job, Resolution
from ops.operations import backend, operation
from ops.operations.backend import Backend
from tests.bank import Bank
from tests.ops.admin.dialog import asked, confirm, decide, page_text, preview
from tests.ops.commands.test_terminate_transactions import foreign, lives, own  # noqa: F401  # fixtures
from tests.ops.detectors.conftest import InHand, in_hand
from tests.staff import make_staff, signed_in

# ruff: noqa: F811  # fixtures are imported, and named as parameters

PAGE = "/admin/ops/operationsaccess/"
SLEEP = "SELECT pg_sleep(15)"


@pytest.fixture(autouse=True)
def own_eye(db: None) -> Iterator[None]:
    yield
    looking.close()


@pytest.fixture
def operator(bank: Bank) -> Client:
    return signed_in(make_staff("operator"))


@pytest.fixture
def slow(bank: Bank) -> Iterator[InHand]:
    """A command that is in the midst of a long statement."""
    with in_hand(SLEEP, timeout=30) as begun:
        try:
            yield begun
        finally:
            stop(begun)


def stop(begun: InHand) -> None:
    """So that nobody waits for its end."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        conn.execute("SELECT pg_cancel_backend(%s)", (begun.pid,))


def id_of(name: str = "Slow") -> str:
    [found] = [entry["id"] for entry in operations.active() if entry["name"] == name]
    return str(found)


def url_of(operation_id: str) -> str:
    return f"{PAGE}end-operation/{operation_id}/"


def nothing_was_done() -> bool:
    return not Resolution.objects.exists() and not Approval.objects.exists()


def test_its_row_leads_to_a_preview_of_that_operation_and_confirmed_it_ends(operator: Client, slow: InHand) -> None:
    with in_hand("SELECT 1", timeout=30, sits=True) as other:
        rows = re.findall(r"<tr>.*?</tr>", page_text(operator.get(PAGE)), re.S)
        [url] = [m[1] for row in rows if f">{slow.pid}<" in row and (m := re.search(r'href="([^"]+)">Stop', row))]
        text, note = preview(operator, url, how="cancel")
        assert f"Cancel the statement of session {slow.pid}" in text
        assert "It works for command Slow of client:slow." in text
        assert str(other.pid) not in text
        assert nothing_was_done()
        assert slow.thread.is_alive(), "a preview changes nothing"

        report = page_text(confirm(operator, url, note))
        slow.thread.join(5)
        assert "The operation has ended." in report
        assert "canceling statement due to user request" in str(slow.error)
        assert other.thread.is_alive()
        assert other.error is None
    operation_id = url.rstrip("/").split("/")[-1]
    [done] = Resolution.objects.all()
    assert (done.action, done.outcome, done.pid, done.operation) == ("cancel", "done", slow.pid, operation_id)
    entry = AuditEntry.objects.get(action="end_operation")
    assert (entry.actor, entry.subject) == ("staff:operator", f"operation:{operation_id}")
    assert entry.reason == "the feed stood still"
    kept = Job.objects.get(action="end_operation")
    assert (kept.state, kept.report[-1]) == ("done", "The operation has ended."), "the report stays"


def test_to_end_its_session_takes_a_second_person(operator: Client, slow: InHand) -> None:
    url = url_of(id_of())
    approval = asked(confirm(operator, url, preview(operator, url, how="terminate")[1]))
    assert slow.thread.is_alive()
    assert f"End session {slow.pid}" in approval.preview[0]
    assert approval.preview[1] == "It works for command Slow of client:slow.", "the second person sees whose it is"

    approval = decide(signed_in(make_staff("supervisor")), approval)
    slow.thread.join(5)
    assert approval.result == [f"Session {slow.pid}: done."]
    assert not slow.thread.is_alive()
    [done] = Resolution.objects.all()
    assert (done.action, done.actor, done.operation) == ("terminate", "staff:operator", url.split("/")[-2])


def test_one_that_ended_meanwhile_is_refused_and_its_session_left_to_the_next(operator: Client) -> None:
    with in_hand("SELECT 1", timeout=30, sits=True) as ended:
        url = url_of(id_of())
        note = preview(operator, url, how="cancel")[1]
        approval = asked(confirm(operator, url, preview(operator, url, how="terminate")[1]))
        ended.end()
        with in_hand(SLEEP, timeout=30) as successor:
            assert "the operation has ended" in page_text(operator.post(url, {"confirmed": note}, follow=True))
            assert "the operation has ended" in preview(operator, url, how="cancel")[0]
            assert decide(signed_in(make_staff("supervisor")), approval).state == "stale"
            assert not Resolution.objects.exists()
            assert successor.thread.is_alive()
            stop(successor)
    entry = AuditEntry.objects.get(action="end_operation", outcome="refused")
    assert "the operation has ended" in entry.detail["message"]


def test_a_session_that_goes_on_with_something_else_in_the_same_transaction_is_spared(
    operator: Client, own: psycopg.Connection
) -> None:
    found = own.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone()
    assert found is not None
    with operation("command", "First", actor="client:acme") as first:
        first.uses_database(Backend(own.info.backend_pid, found[0].isoformat()))
        url = url_of(first.id)
        note = preview(operator, url, how="cancel")[1]
        approval = asked(confirm(operator, url, preview(operator, url, how="terminate")[1]))
    assert decide(signed_in(make_staff("supervisor")), approval).state == "stale"
    assert "the operation has ended" in page_text(operator.post(url, {"confirmed": note}, follow=True))
    assert lives(own)
    assert not Resolution.objects.exists()


def test_where_its_session_belongs_to_another_operation_by_now_that_one_is_spared(
    operator: Client, slow: InHand
) -> None:
    """The board of a process that hangs may show an old backend: it is not believed against PostgreSQL."""
    slow_url = url_of(id_of())
    with operation("command", "Stale", actor="client:old") as stale:
        stale.uses_database(Backend(slow.pid, "2001-01-01T00:00:00+00:00"))
        url = url_of(stale.id)
        for how in ("cancel", "terminate"):
            text, note = preview(operator, url, how=how)
            assert f"session {slow.pid} does not work for this operation any more" in text
            assert note == ""
        assert preview(operator, slow_url, how="cancel")[1], "the one that it works for can be cancelled"
        backend.forget(stale)
    assert slow.thread.is_alive()
    assert nothing_was_done()


def test_a_session_that_the_bank_did_not_start_is_never_touched(
    operator: Client, foreign: psycopg.Connection
) -> None:
    found = foreign.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone()
    assert found is not None
    with operation("command", "Pretends", actor="client:bad") as pretends:
        pretends.uses_database(Backend(foreign.info.backend_pid, found[0].isoformat()))
        text, note = preview(operator, url_of(pretends.id), how="terminate")
    assert "does not work for this operation any more" in text
    assert note == ""
    assert lives(foreign)
    assert nothing_was_done()


def test_one_that_works_with_no_session_has_nothing_to_cancel_and_its_row_offers_nothing(operator: Client) -> None:
    with operation("command", "Thinks", actor="client:acme") as thinks:
        thinks.uses_database(None)
        text, note = preview(operator, url_of(thinks.id), how="cancel")
        assert thinks.id not in page_text(operator.get(PAGE))
    assert "works with no session of PostgreSQL now" in text
    assert note == ""


def test_a_job_s_row_leads_to_the_job(operator: Client) -> None:
    with operation("job", "verify_ledger", resources=("job 17", "ledger"), actor="staff:x"):
        text = page_text(operator.get(PAGE))
    assert 'href="/admin/ops/job/17/change/"' in text


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_is_refused_and_recorded_and_sees_no_way(role: str, slow: InHand) -> None:
    staff, url = signed_in(make_staff(role)), url_of(id_of())
    answers = [staff.get(url), staff.post(url, {"how": "cancel", "reason": "x"}), staff.post(url, {"confirmed": "x"})]
    assert [answer.status_code for answer in answers] == [403] * 3
    if role == "auditor":
        assert "end-operation" not in page_text(staff.get(PAGE))
    assert slow.thread.is_alive()
    assert nothing_was_done()
    refused = AuditEntry.objects.filter(outcome="refused", actor=f"staff:{role}", action="end_operation")
    assert refused.count() == 2
