"""A job's page that refreshes itself, and a question that somebody else answers: in light, in dark, and narrow."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connections

from accounts.models import Account
from ops.jobs import pulse, registry, running
from ops.jobs.registry import JobAction
from ops.models import Approval, Job
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.ops.admin.dialog import asked
from tests.ops.jobs.conftest import Gate
from tests.pages.conftest import Desk
from tests.pages.test_appearance import NARROW, brightness
from tests.staff import make_staff, signed_in


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The proof of the books, in this process, as something that the test lets go on."""
    gate = Gate()
    known = registry.action_of("verify_ledger")
    stand_in = JobAction(known.name, known.title, known.permission, gate.work, known.if_interrupted)
    monkeypatch.setattr(registry, "_actions", {**registry._actions, known.name: stand_in})
    monkeypatch.setattr(pulse, "EVERY", 0.1)
    yield gate
    gate.go_on.set()


def work(job: Job) -> threading.Thread:
    def run() -> None:
        try:
            running.run(job.pk)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def looks_right_in_the_dark_and_narrow(desk: Desk, name: str) -> None:
    desk.page.emulate_media(color_scheme="dark")
    desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    desk.page.reload()
    desk.page.wait_for_selector("html.dark")
    assert brightness(desk, ".b-card") < 60
    assert not desk.is_wider_than_its_window()
    desk.page.screenshot(path=f"var/screenshots/{name}-dark-narrow.png", full_page=True)
    desk.page.emulate_media(color_scheme="light")
    desk.page.set_viewport_size({"width": 1280, "height": 900})
    desk.page.reload()


def test_a_job_is_begun_watched_without_a_reload_and_cancelled(bank: Bank, desk: Desk, gate: Gate) -> None:
    bank.open("10.00")
    desk.sign_in("operator")
    desk.go("/admin/accounts/ledgerproof/")
    desk.click("Prove the books")
    desk.fill(reason="Before the audit")
    desk.send()
    assert desk.says("All events up to position")
    desk.send()
    assert desk.says("Waiting for a worker")

    thread = work(Job.objects.get())
    try:
        assert desk.says("Waiting: 3 of 10"), "the page shows it without being reloaded"
        assert desk.says("at the gate")
        assert desk.page.locator("progress").get_attribute("value") == "30"
        desk.page.screenshot(path="var/screenshots/job-running.png", full_page=True)
        looks_right_in_the_dark_and_narrow(desk, "job")
        desk.click("Cancel the job", role="button")
        assert desk.says("Cancelled: staff:operator asked for it")
    finally:
        gate.go_on.set()
        thread.join(timeout=20)
    assert Job.objects.get().state == "cancelled"
    desk.shot("job-cancelled")
    desk.click("All jobs")
    assert desk.says("Prove the books")
    desk.shot("jobs")


def test_a_question_is_found_in_the_inbox_looked_at_and_approved(bank: Bank, desk: Desk) -> None:
    ann = bank.open("100.00")
    alice = signed_in(make_staff("supervisor", name="alice"))
    asked(send(alice, f"/admin/accounts/account/{ann}/change-overdraft-limit/", limit="50.00"))
    desk.sign_in("supervisor")
    entry = desk.page.locator("#nav-sidebar-apps a", has_text="Approvals")
    assert entry.inner_text().split()[-1] == "1", "the side bar says how many wait"

    desk.go("/admin/ops/approval/")
    desk.shot("approvals")
    desk.click("Waiting, asked by others")
    desk.click("Change an overdraft limit")
    assert desk.says("Overdraft limit 50.00 EUR, in place of 0.00.")
    desk.shot("approval")
    looks_right_in_the_dark_and_narrow(desk, "approval")
    desk.fill(reason="Her salary comes on Friday")
    desk.click("Approve and carry out", role="button")

    assert desk.says("Approved and carried out.")
    assert Account.objects.get(pk=ann).overdraft_limit == 5000
    assert Approval.objects.get().decided_by == "staff:supervisor"
    desk.shot("approval-done")


def test_selected_rows_lead_to_the_dialog(bank: Bank, desk: Desk) -> None:
    bank.open("1.00")
    bank.open("2.00", owner="Bob")
    desk.sign_in("operator")
    desk.go("/admin/accounts/account/")
    desk.page.get_by_role("checkbox").nth(0).check()
    desk.page.get_by_role("checkbox").nth(1).check()
    desk.shot("accounts-selected")
    desk.click("Replay into the read models", role="button")
    desk.fill(from_version="1", reason="Both look odd")
    desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not desk.is_wider_than_its_window()
    desk.shot("replay-narrow")
    desk.send()
    assert desk.says("This would be done")
