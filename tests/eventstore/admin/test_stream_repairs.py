"""Replaying and recovering one account from the admin: previewed, confirmed, with a reason, on record."""

from uuid import UUID, uuid4

import psycopg
import pytest

from accounts.models import Transaction
from eventstore import projections
from eventstore.projections.runner import catch_up
from ops.models import AuditEntry
from tests.bank import Bank
from tests.eventstore.commands.test_replay_events import TABLES, read_models
from tests.ops.admin.dialog import confirm, page_text, preview, worked
from tests.staff import make_staff, signed_in


@pytest.fixture
def ann(bank: Bank) -> UUID:
    account = bank.open("100.00")
    for _ in range(4):
        bank.withdraw(account, "1.00")
    catch_up(projections.registered())
    return account


def url_of(account: UUID, name: str) -> str:
    return f"/admin/eventstore/stream/{account}/{name}/"


@pytest.mark.parametrize("table", TABLES)
def test_a_replay_says_what_is_wrong_and_then_mends_just_that(
    bank: Bank, ann: UUID, sweeper: psycopg.Connection, table: str
) -> None:
    operator, url = signed_in(make_staff("operator")), url_of(ann, "replay")
    before, footprint = read_models(), bank.footprint()
    sweeper.execute(TABLES[table])
    damaged = read_models()

    text, note = preview(operator, url, from_version="1")
    assert "rows are wrong" in text
    assert read_models() == damaged, "a preview changes nothing"

    confirmed = confirm(operator, url, note)
    assert read_models() == damaged, "a worker does it"
    job = worked(confirmed)
    assert (job.state, job.asked_by) == ("done", "staff:operator")
    assert ", 0 rows were mended" not in job.report[0]
    assert read_models() == before
    assert bank.footprint() == footprint
    entry = AuditEntry.objects.get(action="replay_stream")
    assert (entry.subject, entry.reason) == (f"stream:{ann}", "the feed stood still")
    assert entry.detail["input"]["from_version"] == 1
    assert entry.detail["report"] == job.report
    assert AuditEntry.objects.get(action="start_replay_stream").address == "127.0.0.1"


def test_a_replay_from_a_later_version_leaves_the_earlier_rows_alone(ann: UUID, sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE transactions SET description = 'wrong'")
    operator, url = signed_in(make_staff("operator")), url_of(ann, "replay")
    worked(confirm(operator, url, preview(operator, url, from_version="4")[1]))
    wrong = Transaction.objects.filter(description="wrong").values_list("version", flat=True)
    assert sorted(wrong) == [2, 3]


@pytest.mark.parametrize("version", ["0", "7", "x", "99999999999999999999"])
def test_a_version_that_is_not_there_leads_to_no_preview(ann: UUID, version: str) -> None:
    text, note = preview(signed_in(make_staff("operator")), url_of(ann, "replay"), from_version=version)
    assert note == ""
    assert "versions" in text.lower() or "version" in text
    assert not AuditEntry.objects.filter(action="replay_stream").exists()


def test_a_recovery_proves_the_state_and_mends_the_account(
    bank: Bank, ann: UUID, sweeper: psycopg.Connection
) -> None:
    operator, url = signed_in(make_staff("supervisor")), url_of(ann, "recover")
    right = bank.balance(ann)
    sweeper.execute("UPDATE accounts SET balance = 12345")

    text, note = preview(operator, url)
    assert "1 rows are wrong" in text
    assert bank.balance(ann) == 12345

    assert "1 rows were mended" in worked(confirm(operator, url, note)).report[0]
    assert bank.balance(ann) == right
    assert AuditEntry.objects.get(action="recover_stream").subject == f"stream:{ann}"


def test_a_job_that_only_looks_mends_nothing(ann: UUID, sweeper: psycopg.Connection) -> None:
    sweeper.execute(TABLES["transactions"])
    damaged = read_models()
    operator, url = signed_in(make_staff("operator")), url_of(ann, "replay")
    job = worked(confirm(operator, url, preview(operator, url, from_version="1", dry_run="on")[1]))
    assert "rows would be mended" in job.report[0]
    assert read_models() == damaged


@pytest.mark.parametrize("listed", ["accounts/account", "eventstore/stream"])
@pytest.mark.parametrize("which", ["selected", "all"])
def test_selected_streams_or_all_are_replayed_from_the_lists(
    bank: Bank, ann: UUID, sweeper: psycopg.Connection, listed: str, which: str
) -> None:
    bob, cid = bank.open("5.00", owner="Bob"), bank.open("7.00", owner="Cid")
    catch_up(projections.registered())
    operator = signed_in(make_staff("operator"))
    text = page_text(operator.get(f"/admin/{listed}/"))
    assert all(f'name="on" value="{account}"' in text for account in (ann, bob, cid))
    assert 'formaction="/admin/eventstore/stream/replay/"' in text
    sweeper.execute("UPDATE transactions SET description = 'wrong'")

    url = "/admin/eventstore/stream/replay/?on=" + ("all" if which == "all" else f"{ann}&on={bob}")
    job = worked(confirm(operator, url, preview(operator, url, from_version="1")[1]))

    wrong = set(Transaction.objects.filter(description="wrong").values_list("account_id", flat=True))
    assert wrong == (set() if which == "all" else {cid})
    assert job.report[0].startswith("3 streams" if which == "all" else "2 streams")


def test_nothing_selected_and_nonsense_lead_back_to_the_list(ann: UUID) -> None:
    operator = signed_in(make_staff("operator"))
    for query in ("", "?on=x", "?on=" + "&on=".join(str(uuid4()) for _ in range(201))):
        answer = operator.get(f"/admin/eventstore/stream/replay/{query}")
        assert answer.headers["Location"] == "/admin/eventstore/stream/"
    text, note = preview(operator, f"/admin/eventstore/stream/replay/?on={uuid4()}", from_version="1")
    assert "There is no stream" in text
    assert note == ""


@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
def test_who_may_not_sees_no_button_and_changes_nothing(ann: UUID, sweeper: psycopg.Connection, role: str) -> None:
    sweeper.execute(TABLES["transactions"])
    damaged = read_models()
    staff = signed_in(make_staff(role))
    for name in ("replay", "recover"):
        url = url_of(ann, name)
        assert staff.get(url).status_code == 403
        assert staff.post(url, {"from_version": "1", "reason": "x"}).status_code == 403
        assert staff.post(url, {"confirmed": "x"}).status_code == 403
    assert read_models() == damaged
    assert "Replay into" not in page_text(staff.get(f"/admin/accounts/account/{ann}/change/"))
    assert AuditEntry.objects.filter(outcome="refused", actor=f"staff:{role}").count() == 4


def test_the_pages_of_the_stream_and_of_the_account_lead_there(ann: UUID) -> None:
    operator = signed_in(make_staff("operator"))
    for page in (f"/admin/eventstore/stream/{ann}/change/", f"/admin/accounts/account/{ann}/change/"):
        text = page_text(operator.get(page))
        assert url_of(ann, "replay") in text
        assert url_of(ann, "recover") in text


def test_a_stream_that_is_not_there_is_404(db: None) -> None:
    assert signed_in(make_staff("operator")).get(url_of(uuid4(), "replay")).status_code == 404
