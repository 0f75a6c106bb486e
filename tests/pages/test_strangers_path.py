"""A stranger's path: somebody who knows nothing but the front page finds what is wrong in three clicks, and cures it.

Each trouble is a real one. From the front page on, all is reached by links and buttons that are really clicked.
"""

from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator

from accounts.models import JournalLine, Transaction
from accounts.verification import verify
from eventstore.models import DeadLetter
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.detectors import blocked
from ops.detectors.monitor import Monitor
from ops.jobs import running
from ops.models import Approval, Job
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.troubles import PatientDeposit, a_session_that_holds, poison
from tests.processes import wait_until

CLICKS_TO_THE_CAUSE = 3


@dataclass
class Stranger:
    """Somebody at a browser, and how often they have clicked since they looked at the front page."""

    desk: Desk
    clicks: int = 0

    def look_at_the_front_page(self) -> None:
        Monitor().look()
        self.desk.go("/admin/")
        self.clicks = 0

    def worries(self) -> set[str]:
        """The components that the front page finds fault with."""
        return set(self.desk.page.locator("#live .b-reasons li > strong").all_inner_texts())

    def click(self, what: Locator) -> None:
        what.first.click()
        self.clicks += 1

    def tile(self, title: str) -> Locator:
        return self.desk.page.locator("#live a.b-figure-card", has_text=title)

    def link(self, name: str) -> Locator:
        return self.desk.page.locator("#main").get_by_role("link", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.desk.page.locator("#main").get_by_role("button", name=name, exact=True)

    def open_from_the_side_bar(self, name: str) -> None:
        self.click(self.desk.page.locator("#nav-sidebar-apps a", has_text=name))

    def has_the_cause(self, sentence: str) -> None:
        assert self.desk.says(sentence)
        assert self.clicks <= CLICKS_TO_THE_CAUSE, f"{self.clicks} clicks to the cause"

    def confirm(self, previewed: str, **fields: str) -> None:
        """A dialog: says why, reads what would be done, confirms it."""
        self.desk.fill(**fields)
        self.desk.send()
        assert self.desk.says(previewed)
        self.desk.send()

    def becomes(self, role: str) -> None:
        """Somebody else sits down."""
        self.desk.page.context.clear_cookies()
        self.desk.sign_in(role)

    def approves_what_waits(self) -> None:
        self.open_from_the_side_bar("Approvals")
        self.click(self.link("Waiting, asked by others"))
        self.click(self.desk.page.locator("#main table a"))
        self.desk.fill(reason="I looked at it")
        self.click(self.button("Approve and carry out"))
        assert self.desk.says("Approved")


@pytest.fixture
def stranger(bank: Bank, desk: Desk) -> Stranger:
    """An operator before a bank that is well."""
    ann = bank.open("100.00")
    bank.deposit(ann, "20.00")
    catch_up(registered())
    verify()
    stranger = Stranger(desk)
    desk.sign_in("operator")
    return stranger


def is_well_again(stranger: Stranger, before: set[str]) -> None:
    stranger.look_at_the_front_page()
    assert stranger.worries() <= before
    if not before:
        assert stranger.desk.says("All is well.")


def the_worker_does_it() -> Job:
    job = Job.objects.get(ended_at=None)
    assert running.run(job.pk)
    job.refresh_from_db()
    assert job.state == "done", job.error
    return job


def test_a_poison_event(bank: Bank, stranger: Stranger) -> None:
    stranger.look_at_the_front_page()
    before = stranger.worries()
    sick = bank.open(owner="Eve")
    poison(bank, sick, "5.00", "6.00")

    stranger.look_at_the_front_page()
    assert stranger.worries() - before == {"dead_letters"}
    stranger.click(stranger.tile("Dead letters"))
    failed = DeadLetter.objects.get(state="failed")
    stranger.click(stranger.link(str(failed.pk)))
    stranger.has_the_cause("duplicate key value violates unique constraint")
    stranger.desk.shot("stranger-poison")

    stranger.click(stranger.link("Mend the read models: replay the stream"))
    stranger.confirm("rows are wrong", from_version="1", reason="A row stands in the way of an event")
    the_worker_does_it()
    assert stranger.desk.says("rows were mended")
    stranger.open_from_the_side_bar("Dead letters")
    stranger.click(stranger.link(str(failed.pk)))
    stranger.click(stranger.link("Retry"))
    stranger.desk.fill(reason="The row is mended")
    stranger.desk.send()
    assert stranger.desk.says("2 events were applied, 0 still wait.")

    is_well_again(stranger, before)
    amounts = Transaction.objects.filter(account_id=sick).order_by("version").values_list("amount", flat=True)
    assert list(amounts) == [500, 600]


def test_a_blocked_stream(bank: Bank, stranger: Stranger) -> None:
    ann = bank.open("1.00")
    catch_up(registered())
    stranger.look_at_the_front_page()
    before = stranger.worries()
    with a_session_that_holds(ann) as holder:
        waits = PatientDeposit(bank, ann)
        wait_until(lambda: any(entry["blocked_by"] for entry in blocked()))

        def is_told() -> bool:
            stranger.look_at_the_front_page()
            return "0 sessions" not in stranger.tile("Waiting for locks").inner_text()

        wait_until(is_told)
        stranger.click(stranger.tile("Waiting for locks"))
        stranger.has_the_cause("command Deposit, waits")
        tree = stranger.desk.page.locator(".b-tree > li", has_text=str(holder.info.backend_pid))
        assert "lock_streams" in tree.locator("div").first.inner_text(), "what it did last"
        stranger.desk.shot("stranger-blocked")

        stranger.click(tree.get_by_role("link", name="End", exact=True))
        stranger.desk.page.locator("select[name=how]").select_option("terminate")
        stranger.confirm("This would be done", reason="It keeps a customer waiting")
        assert stranger.desk.says("somebody else who may has to approve it")
        assert waits.thread.is_alive()
        stranger.becomes("supervisor")
        stranger.approves_what_waits()
        assert stranger.desk.says("done.")
        waits.thread.join(10)
        assert not waits.thread.is_alive()
    assert bank.balance(ann) == 800
    assert {approval.state for approval in Approval.objects.all()} == {"approved"}

    catch_up(registered())
    is_well_again(stranger, before)


def test_a_read_model_that_does_not_balance(bank: Bank, stranger: Stranger) -> None:
    stranger.look_at_the_front_page()
    before = stranger.worries()
    right = list(JournalLine.objects.order_by("pk").values())
    line = JournalLine.objects.earliest("pk")
    JournalLine.objects.filter(pk=line.pk).update(amount=line.amount + 100)
    verify()  # as every night

    stranger.look_at_the_front_page()
    assert stranger.worries() - before == {"ledger"}
    stranger.click(stranger.tile("The books"))
    stranger.click(stranger.desk.page.locator("#main table a"))
    stranger.has_the_cause(
        f"journal_lines: row {line.pk} has amount {line.amount + 100}, its event makes {line.amount}"
    )
    stranger.desk.shot("stranger-unbalanced")

    stranger.click(stranger.link("Read model journal"))
    stranger.click(stranger.link("Compare with a rebuild"))
    stranger.confirm("journal is filled anew", reason="The proof found a wrong line")
    the_worker_does_it()
    assert stranger.desk.says("1 of them are wrong now")
    stranger.open_from_the_side_bar("Projections")
    stranger.click(stranger.link("journal"))
    stranger.click(stranger.link("Rebuild and swap"))
    stranger.confirm("are filled anew from all events", reason="One line is wrong")
    assert stranger.desk.says("somebody else who may has to approve it")
    assert list(JournalLine.objects.order_by("pk").values()) != right
    stranger.becomes("supervisor")
    stranger.approves_what_waits()
    the_worker_does_it()
    stranger.open_from_the_side_bar("Ledger proofs")
    stranger.click(stranger.link("Prove the books"))
    stranger.confirm("All events up to position", reason="The line was mended")
    the_worker_does_it()

    assert list(JournalLine.objects.order_by("pk").values()) == right
    is_well_again(stranger, before)
