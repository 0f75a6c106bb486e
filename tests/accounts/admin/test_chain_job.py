"""All links of an account's chain, checked by a job: for streams of any length, with a report that stays."""

from uuid import UUID

import psycopg
import pytest
from django.test import Client

from accounts.models import Account, Hold
from accounts.roles import ROLES
from eventstore.events import new_id
from ops.models import Job
from tests.bank import Bank
from tests.ops.admin.dialog import confirm, preview, worked
from tests.staff import make_staff, signed_in


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page checks four links, so that the account is longer than that."""
    monkeypatch.setattr("accounts.chain.MOST_LINKS", 4)


@pytest.fixture
def ann(bank: Bank) -> UUID:
    """Six versions."""
    account = bank.open("100.00", owner="Ann")
    for _ in range(4):
        bank.withdraw(account, "1.00")
    return account


def url_of(account: UUID) -> str:
    return f"/admin/accounts/account/{account}/verify-chain/"


def done(client: Client, account: UUID) -> Job:
    _, note = preview(client, url_of(account))
    return worked(confirm(client, url_of(account), note))


def test_a_chain_that_is_too_long_for_a_page_is_checked_whole(ann: UUID, supervisor: Client, bank: Bank) -> None:
    before = bank.footprint()
    page = supervisor.get(f"/admin/accounts/account/{ann}/chain/?all=1").content.decode()
    assert f'<a href="{url_of(ann)}">a job checks all</a>' in page
    text, _ = preview(supervisor, url_of(ann))
    assert "6 events of Ann are read and recomputed." in text

    job = done(supervisor, ann)

    assert job.state == "done"
    assert job.report == [
        "6 links were recomputed. All hold, and the account and its holds are what its events make."
    ]
    assert bank.footprint() == before


def test_a_break_behind_the_page_s_bound_is_found(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE events SET hash = sha256('x') WHERE aggregate_id = %s AND version = 5", (ann,))
    assert "The first 4 links hold" in supervisor.get(f"/admin/accounts/account/{ann}/chain/?all=1").content.decode()

    job = done(supervisor, ann)

    assert job.state == "failed"
    assert "does NOT agree" in job.error
    assert [line.split(":")[0] for line in job.report[1:]] == ["Version 5", "Version 6"]


def test_a_cut_off_end_and_a_wrong_row_are_told(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("DELETE FROM events WHERE aggregate_id = %s AND version = 6", (ann,))
    Account.objects.filter(pk=ann).update(balance=1)

    report = done(supervisor, ann).report

    assert "The end is missing: the head of the stream knows of 1 more events." in report
    assert "Version of the head is 6; the events make 5." in report
    assert "balance is 1; the events make 9700." in report


def test_holds_that_are_not_what_the_events_make_are_told(
    ann: UUID, supervisor: Client, bank: Bank, sweeper: psycopg.Connection
) -> None:
    changed, lost, sound = (bank.hold(ann, "1.00") for _ in range(3))
    bank.hold(bank.open("1.00", owner="Bob"), "1.00")
    Hold.objects.filter(pk=changed).update(contra="cash:EUR")
    sweeper.execute("DELETE FROM holds WHERE id = %s", (lost,))
    invented = new_id()
    Hold.objects.create(**Hold.objects.filter(pk=sound).values()[0] | {"id": invented})
    before = bank.footprint()

    job = done(supervisor, ann)

    assert job.state == "failed"
    assert job.report == [
        "9 links were recomputed.",
        f"contra of hold {changed} is cash:EUR; the events make cards:EUR.",
        f"Row of hold {lost} is missing; the events make one.",
        f"Row of hold {invented} is there; the events make none.",
    ]
    assert bank.footprint() == before


def test_only_so_many_wrong_holds_are_told_one_by_one(
    ann: UUID, supervisor: Client, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.jobs.TOLD", 2)
    for _ in range(4):
        bank.hold(ann, "1.00")
    Hold.objects.update(description="rent")

    report = done(supervisor, ann).report

    assert len(report) == 4
    assert report[-1] == "2 further values are not what the events make."


def test_events_that_cannot_be_folded_are_told(ann: UUID, supervisor: Client, sweeper: psycopg.Connection) -> None:
    sweeper.execute("UPDATE events SET event_type = 'Nonsense' WHERE aggregate_id = %s AND version = 3", (ann,))

    report = done(supervisor, ann).report

    assert any("its events cannot be folded" in line for line in report)


@pytest.mark.parametrize("role", sorted(ROLES))
def test_who_may_prove_the_books_may_ask_for_it(ann: UUID, role: str) -> None:
    client = signed_in(make_staff(role))
    allowed = "accounts.verify_ledger" in ROLES[role]

    assert client.get(url_of(ann)).status_code == (200 if allowed else 403)
    assert client.post(url_of(ann), {"reason": "x"}).status_code == (200 if allowed else 403)
    if "eventstore.view_event" in ROLES[role]:
        page = client.get(f"/admin/accounts/account/{ann}/chain/").content.decode()
        assert (url_of(ann) in page) is allowed
    assert not Job.objects.exists()


def test_an_account_that_is_not_there_is_not_found(db: None, supervisor: Client) -> None:
    assert supervisor.get(url_of(UUID(int=1))).status_code == 404
