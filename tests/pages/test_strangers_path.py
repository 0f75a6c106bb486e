"""A stranger's path: somebody who knows nothing but the front page finds what is wrong in three clicks, and cures it.

The troubles are real ones, and come together: an event that a read model cannot take, a session that blocks an
account, a read model that does not balance. From the front page on, all is reached by links and buttons that are
really clicked.
"""

from dataclasses import dataclass

import pytest
from django.db import connections
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
from tests.staff import make_staff

CLICKS_TO_THE_CAUSE = 3


@dataclass
class Stranger:
    """Somebody at a browser, and how often they have clicked since they looked at the front page."""

    desk: Desk
    clicks: int = 0

    def look_at_the_front_page(self) -> None:
        connections.close_all()  # of the test itself, which would soon count as one that is held too long
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

    def becomes(self, role: str, *, name: str | None = None) -> None:
        """Somebody else sits down."""
        self.desk.page.context.clear_cookies()
        self.desk.enter(make_staff(role, name=name))

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


def test_three_troubles_at_once_are_each_traced_in_three_clicks_and_cured(bank: Bank, stranger: Stranger) -> None:
    stranger.look_at_the_front_page()
    before = stranger.worries()
    right = list(JournalLine.objects.order_by("pk").values())
    ann, sick = bank.open("1.00"), bank.open(owner="Eve")
    catch_up(registered())
    wrong = JournalLine.objects.earliest("pk")
    JournalLine.objects.filter(pk=wrong.pk).update(amount=wrong.amount + 100)
    poison(bank, sick, "5.00", "6.00")
    verify()  # as every night

    with a_session_that_holds(ann) as holder:
        waits = PatientDeposit(bank, ann)
        wait_until(lambda: any(entry["blocked_by"] for entry in blocked()))
        stranger.look_at_the_front_page()
        assert stranger.worries() - before >= {"dead_letters", "ledger"}
        stranger.desk.shot("stranger-front-page")

        finds_the_poison_event(stranger)
        finds_the_wrong_line(stranger, wrong)
        finds_who_blocks_the_stream(stranger, holder.info.backend_pid)
        has_the_session_ended(stranger, holder.info.backend_pid)
        waits.thread.join(10)
        assert not waits.thread.is_alive()
    assert bank.balance(ann) == 800

    has_the_event_applied(stranger)
    amounts = Transaction.objects.filter(account_id=sick).order_by("version").values_list("amount", flat=True)
    assert list(amounts) == [500, 600]
    catch_up(registered())
    has_the_read_model_rebuilt(stranger, wrong)
    assert list(JournalLine.objects.filter(pk__in=[line["id"] for line in right]).order_by("pk").values()) == right
    assert {approval.state for approval in Approval.objects.all()} == {"approved"}
    is_well_again(stranger, before)


def finds_the_poison_event(stranger: Stranger) -> DeadLetter:
    stranger.look_at_the_front_page()
    stranger.click(stranger.tile("Dead letters"))
    failed = DeadLetter.objects.get(state="failed")
    stranger.click(stranger.link(str(failed.pk)))
    stranger.has_the_cause("duplicate key value violates unique constraint")
    stranger.desk.shot("stranger-poison")
    return failed


def has_the_event_applied(stranger: Stranger) -> None:
    failed = finds_the_poison_event(stranger)
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


def finds_who_blocks_the_stream(stranger: Stranger, pid: int) -> Locator:
    """The node of the session in the tree of who waits for whom."""

    def is_told() -> bool:
        stranger.look_at_the_front_page()
        return "0 sessions" not in stranger.tile("Waiting for locks").inner_text()

    wait_until(is_told)
    stranger.click(stranger.tile("Waiting for locks"))
    stranger.has_the_cause("command Deposit, waits")
    tree = stranger.desk.page.locator(".b-tree > li", has_text=str(pid))
    assert "lock_streams" in tree.locator("div").first.inner_text(), "what it did last"
    stranger.desk.shot("stranger-blocked")
    return tree


def has_the_session_ended(stranger: Stranger, pid: int) -> None:
    tree = finds_who_blocks_the_stream(stranger, pid)
    stranger.click(tree.get_by_role("link", name="End", exact=True))
    stranger.desk.page.locator("select[name=how]").select_option("terminate")
    stranger.confirm("This would be done", reason="It keeps a customer waiting")
    assert stranger.desk.says("somebody else who may has to approve it")
    stranger.becomes("supervisor")
    stranger.approves_what_waits()
    assert stranger.desk.says("done.")


def finds_the_wrong_line(stranger: Stranger, line: JournalLine) -> None:
    stranger.look_at_the_front_page()
    stranger.click(stranger.tile("The books"))
    stranger.click(stranger.desk.page.locator("#main table a"))
    stranger.has_the_cause(
        f"journal_lines: row {line.pk} has amount {line.amount + 100}, its event makes {line.amount}"
    )
    stranger.desk.shot("stranger-unbalanced")


def has_the_read_model_rebuilt(stranger: Stranger, line: JournalLine) -> None:
    """As one supervisor asks, and another approves."""
    finds_the_wrong_line(stranger, line)
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
    assert JournalLine.objects.get(pk=line.pk).amount == line.amount + 100
    stranger.becomes("supervisor", name="another")
    stranger.approves_what_waits()
    the_worker_does_it()
    stranger.open_from_the_side_bar("Ledger proofs")
    stranger.click(stranger.link("Prove the books"))
    stranger.confirm("All events up to position", reason="The line was mended")
    the_worker_does_it()
