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
from tests.ops.admin.dialog import confirm, page_text, preview
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

    told = page_text(confirm(operator, url, note))
    assert "rows were wrong" in told
    assert read_models() == before
    assert bank.footprint() == footprint
    entry = AuditEntry.objects.get(action="replay_stream")
    assert (entry.subject, entry.reason) == (f"stream:{ann}", "the feed stood still")
    assert entry.detail["from_version"] == 1


def test_a_replay_from_a_later_version_leaves_the_earlier_rows_alone(ann: UUID, sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE transactions SET description = 'wrong'")
    operator, url = signed_in(make_staff("operator")), url_of(ann, "replay")
    confirm(operator, url, preview(operator, url, from_version="4")[1])
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

    assert "1 rows were wrong" in page_text(confirm(operator, url, note))
    assert bank.balance(ann) == right
    assert AuditEntry.objects.get(action="recover_stream").subject == f"stream:{ann}"


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
