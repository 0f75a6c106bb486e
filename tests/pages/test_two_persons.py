"""Two persons at two browsers: one asks, the other decides, and each page says where it stands."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser

from ops.approvals.models import Approval
from tests.bank import Bank
from tests.configured import configured
from tests.pages.conftest import Desk, desk_at
from tests.pages.server import running_server
from tests.pages.test_jobs_and_approvals import looks_right_in_the_dark_and_narrow
from tests.staff import make_staff


@pytest.fixture(scope="module")
def limited() -> Iterator[str]:
    """A server where supervisors move no more than 1,000.00 alone."""
    with configured(approval_movement_limits="supervisor:EUR=1000.00"), running_server() as url:
        yield url


@pytest.fixture
def alice(db: None, browser: Browser, limited: str) -> Iterator[Desk]:
    yield from seated("alice", browser, limited)


@pytest.fixture
def bob(db: None, browser: Browser, limited: str) -> Iterator[Desk]:
    yield from seated("bob", browser, limited)


def seated(name: str, browser: Browser, server: str) -> Iterator[Desk]:
    with desk_at(browser, server) as desk:
        desk.enter(make_staff("supervisor", name=name))
        yield desk
    assert desk.complaints == [], "the browser complained"


def transfers(desk: Desk, payer: UUID, payee: UUID, amount: str) -> None:
    """Up to the question, by way of the page that shows what would be done."""
    desk.go(f"/admin/accounts/account/{payer}/transfer/")
    desk.fill(target_account_id=str(payee), amount=amount, reason="The invoice of June")
    desk.send()
    assert desk.says("Somebody else who may has to approve exactly this.")
    desk.shot("two-persons-look")
    desk.click("Ask for approval", role="button")
    assert desk.says("Somebody else has to approve it.")


def opens_what_waits(desk: Desk) -> None:
    desk.go("/admin/ops/approval/")
    desk.click("Waiting, asked by others")
    desk.page.locator("#main tbody a").first.click()


def test_a_transfer_is_asked_for_seen_in_words_and_approved(bank: Bank, alice: Desk, bob: Desk) -> None:
    ann, cid = bank.open("5000.00"), bank.open(owner="Cid")
    transfers(alice, ann, cid, "1000.01")
    alice.shot("two-persons-asked")

    bob.go("/admin/ops/approval/")
    assert bob.says("Transfer: 1000.01 EUR.")
    bob.shot("two-persons-list")
    opens_what_waits(bob)
    assert bob.says(f"Cid, {cid}")
    assert not bob.page.get_by_text('"minor"').is_visible(), "minor units are for who asks for them"
    bob.shot("two-persons-question")
    looks_right_in_the_dark_and_narrow(bob, "two-persons-question")
    for owner, account_id in (("Ann", ann), ("Cid", cid)):
        link = bob.page.get_by_role("link", name=owner, exact=True)
        assert link.get_attribute("href") == f"/admin/accounts/account/{account_id}/change/"
    bob.page.get_by_text("Exactly as it is recorded").click()
    assert bob.page.get_by_text('"minor": 100001').is_visible()
    bob.fill(reason="The invoice is there")
    bob.click("Approve and carry out", role="button")

    assert bob.says("Approved and carried out.")
    bob.shot("two-persons-approved")
    alice.page.reload()
    assert alice.says("The invoice is there")
    assert bank.balance(cid) == 100001


def test_a_question_is_refused(bank: Bank, alice: Desk, bob: Desk) -> None:
    ann, cid = bank.open("5000.00"), bank.open(owner="Cid")
    transfers(alice, ann, cid, "2000.00")
    opens_what_waits(bob)
    bob.click("Refuse", role="button")
    bob.shot("two-persons-no-reason")
    assert Approval.objects.get().state == "pending", "not without a reason"
    bob.fill(reason="There is no such invoice")
    bob.click("Refuse", role="button")

    assert bob.says("It is refused. Nothing was done.")
    bob.shot("two-persons-refused")
    alice.page.reload()
    assert alice.says("There is no such invoice")
    alice.shot("two-persons-refused-asker")
    assert bank.balance(cid) == 0


def test_a_question_is_withdrawn(bank: Bank, alice: Desk, bob: Desk) -> None:
    ann, cid = bank.open("5000.00"), bank.open(owner="Cid")
    transfers(alice, ann, cid, "2000.00")
    opens_what_waits(bob)
    alice.click("Withdraw", role="button")
    assert alice.says("It is withdrawn: nobody can approve it any more.")
    alice.shot("two-persons-withdrawn")

    bob.fill(reason="The invoice is there")
    bob.click("Approve and carry out", role="button")

    assert bob.says("Nothing was done: it is withdrawn already.")
    bob.shot("two-persons-withdrawn-other")
    assert bank.balance(cid) == 0


def test_a_question_goes_stale_and_is_asked_anew(bank: Bank, alice: Desk, bob: Desk) -> None:
    ann = bank.open("5000.00")
    alice.go(f"/admin/accounts/account/{ann}/change-overdraft-limit/")
    alice.fill(limit="1000.00", reason="Her salary comes on Friday")
    alice.send()
    assert alice.says("Somebody else has to approve it.")
    opens_what_waits(bob)
    bank.deposit(ann, "1.00")
    told = f"The account of Ann, {ann}, stood at version 2 and is at 3 now."

    bob.fill(reason="She is a good customer")
    bob.click("Approve and carry out", role="button")

    assert bob.says(told)
    bob.shot("two-persons-stale")
    alice.page.reload()
    assert alice.says(told)
    alice.shot("two-persons-stale-asker")
    alice.go("/admin/ops/approval/")
    alice.shot("two-persons-stale-list")
