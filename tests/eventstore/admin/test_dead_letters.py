"""Dead letters in the admin: seen by technical staff, retried by operators, discarded by two persons."""

import psycopg
import pytest

from accounts.models import Transaction
from accounts.projections.transactions import Transactions
from eventstore import following
from eventstore.approvals import Discard
from eventstore.events import StoredEvent
from eventstore.models import DeadLetter
from eventstore.projections import dead_letters
from eventstore.projections.runner import catch_up
from ops.approvals.registry import Approved, Carried, Command
from ops.html import page_of
from ops.models import AuditEntry
from tests.bank import Bank
from tests.locks import at_work_with, impatient
from tests.ops.admin.dialog import asked, confirm, decide, page_text, preview, worked
from tests.staff import make_staff, signed_in

BASE = "/admin/eventstore/deadletter/"


@pytest.fixture
def mended(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A failed deposit of 6.66 with one event parked behind it; the switch mends the cause."""
    switch = {"on": False}
    gather = Transactions.gather

    def choosy(self: Transactions, stored: StoredEvent, batch: list) -> None:
        if stored.data.get("amount") == 666 and not switch["on"]:
            raise ValueError("cannot take <666>")
        gather(self, stored, batch)

    monkeypatch.setattr(Transactions, "gather", choosy)
    monkeypatch.setattr(Transactions, "set_based", "")
    account_id = bank.open("1.00")
    bank.deposit(account_id, "6.66")
    bank.deposit(account_id, "2.00")
    catch_up([Transactions()])
    return switch


def failed() -> DeadLetter:
    return DeadLetter.objects.get(event_type="Deposited", version=3)


def test_a_retry_while_others_work_with_the_read_model_is_told_as_not_done(
    mended: dict[str, bool], sweeper: psycopg.Connection
) -> None:
    mended["on"] = True
    browser = signed_in(make_staff("operator"))
    with at_work_with("transactions", sweeper), impatient():
        page = browser.post(f"{BASE}{failed().id}/retry/", {"reason": "it is mended"}, follow=True).content.decode()

    assert "Nothing was done: read model transactions is in use" in page
    assert failed().state == "failed"
    assert AuditEntry.objects.get(action="retry_dead_letter").outcome == "refused"


@pytest.mark.usefixtures("mended")
def test_the_list_and_the_page_tell_what_failed_and_why() -> None:
    browser = signed_in(make_staff("auditor"))
    page = browser.get(BASE).content.decode()
    assert "cannot take &lt;666&gt;" in page
    assert "Parked" in page
    page = browser.get(f"{BASE}{failed().id}/change/").content.decode()
    assert "Traceback" in page
    assert "&quot;amount&quot;: 666" in page
    assert "Retry" not in page


def test_an_operator_retries_and_the_reason_is_recorded(mended: dict[str, bool]) -> None:
    browser = signed_in(make_staff("operator"))
    url = f"{BASE}{failed().id}/retry/"
    assert browser.post(url, {"reason": ""}).status_code == 200
    assert failed().state == "failed"

    answer = browser.post(url, {"reason": "try now"}, follow=True)
    assert "0 events were applied, 2 still wait" in answer.content.decode()
    mended["on"] = True
    answer = browser.post(url, {"reason": "mended by release 7"}, follow=True)

    assert "2 events were applied, 0 still wait" in answer.content.decode()
    assert (failed().state, failed().resolved_by) == ("applied", "staff:operator")
    assert Transaction.objects.count() == 3
    assert AuditEntry.objects.filter(action="retry_dead_letter", outcome="done").count() == 2


@pytest.mark.usefixtures("mended")
def test_a_parked_event_leads_to_the_one_that_it_waits_behind() -> None:
    parked, browser = DeadLetter.objects.get(state="parked"), signed_in(make_staff("operator"))

    page, front = (browser.get(f"{BASE}{letter.pk}/change/").content.decode() for letter in (parked, failed()))

    assert f'Waits behind</dt><dd><a class="b-link" href="{BASE}{failed().pk}/change/">version 3</a>' in page
    assert "Waits behind" not in front


@pytest.mark.usefixtures("mended")
def test_a_discard_needs_a_second_person() -> None:
    operator = signed_in(make_staff("operator"))
    letter = failed()
    url = f"{BASE}{letter.id}/discard/"
    text, note = preview(operator, url, reason="test data")
    assert "leaves out Deposited, version 3" in text
    assert "1 events that wait behind it are applied" in text
    approval = asked(confirm(operator, url, note))
    assert failed().state == "failed"
    assert decide(operator, approval).state == "pending", "not one's own, and not without the right to decide"

    approval = decide(signed_in(make_staff("supervisor")), approval)

    assert (approval.outcome, approval.result[1]) == ("done", "1 events were applied, 0 still wait.")
    assert (failed().state, failed().resolved_by) == ("discarded", "staff:supervisor")
    assert (failed().discard_requested_by, failed().reason) == ("staff:operator", "test data")
    assert list(Transaction.objects.order_by("position").values_list("amount", flat=True)) == [100, 200]


def test_a_letter_that_was_applied_meanwhile_is_not_discarded(mended: dict[str, bool]) -> None:
    operator = signed_in(make_staff("operator"))
    url = f"{BASE}{failed().id}/discard/"
    approval = asked(confirm(operator, url, preview(operator, url)[1]))
    mended["on"] = True
    operator.post(f"{BASE}{failed().id}/retry/", {"reason": "mended"})
    assert decide(signed_in(make_staff("supervisor")), approval).state == "stale"
    assert failed().state == "applied"


def test_a_discard_that_comes_too_late_says_once_that_it_was_not_done(
    mended: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = signed_in(make_staff("operator"))
    url = f"{BASE}{failed().id}/discard/"
    approval = asked(confirm(operator, url, preview(operator, url)[1]))
    execute = Discard.execute

    def late(self: Discard, command: Command, approved: Approved) -> Carried:
        mended["on"] = True
        dead_letters.retry(command["letter"], by="staff:somebody")
        return execute(self, command, approved)

    monkeypatch.setattr(Discard, "execute", late)
    supervisor = signed_in(make_staff("supervisor"))
    approval = decide(supervisor, approval)

    why = f"dead letter {failed().id} is resolved, or there is none of that number."
    assert (approval.outcome, approval.result) == ("failed", [why])
    page = page_text(supervisor.get(page_of("ops.approval", approval.pk)))
    assert f"Approved, but not done: {why}" in page
    assert "Nothing was done" not in page
    assert failed().state == "applied"


@pytest.mark.parametrize("which", ["selected", "all"])
def test_selected_letters_or_all_are_retried_by_a_job(mended: dict[str, bool], which: str) -> None:
    operator = signed_in(make_staff("operator"))
    assert f'name="on" value="{failed().id}"' in operator.get(BASE).content.decode()
    mended["on"] = True
    url = f"{BASE}retry/?on=" + ("all" if which == "all" else str(failed().id))

    job = worked(confirm(operator, url, preview(operator, url)[1]))

    assert (job.state, job.report[0]) == ("done", "1 streams: 2 events were applied, 0 still wait.")
    assert (failed().state, failed().resolved_by) == ("applied", "staff:operator")


def test_a_stream_of_which_only_parked_events_are_left_is_retried_with_all(
    mended: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    mended["on"] = True
    with monkeypatch.context() as patch:
        patch.setattr(dead_letters, "MAX_REDRIVE", 1)
        assert dead_letters.retry(failed().id, by="staff:alice").left == 1
    operator, url = signed_in(make_staff("operator")), f"{BASE}retry/?on=all"

    job = worked(confirm(operator, url, preview(operator, url)[1]))

    assert job.report[0] == "1 streams: 1 events were applied, 0 still wait."
    assert Transaction.objects.count() == 3


def unreadable() -> DeadLetter:
    dead_letters.record_unreadable(
        topic="events", partition=0, offset=7, key=None, value=b"?", error=ValueError("no event")
    )
    return DeadLetter.objects.get(state="unreadable")


def test_an_unreadable_message_waits_until_an_operator_has_acknowledged_it(db: None) -> None:
    letter, operator = unreadable(), signed_in(make_staff("operator"))
    url = f"{BASE}{letter.id}/acknowledge/"
    assert url in operator.get(f"{BASE}{letter.id}/change/").content.decode()
    operator.post(url, {"reason": ""})
    assert following.dead_letters()["unreadable"] == 1

    operator.post(url, {"reason": "a test of the network team"})

    assert following.dead_letters()["unreadable"] == 0
    letter.refresh_from_db()
    assert (letter.state, letter.resolved_by, letter.reason) == (
        "unreadable",
        "staff:operator",
        "a test of the network team",
    )
    page = operator.get(f"{BASE}{letter.id}/change/").content.decode()
    assert url not in page
    assert "a test of the network team" in page
    assert AuditEntry.objects.get(action="acknowledge_dead_letter").outcome == "done"


def test_selected_unreadable_messages_are_acknowledged_and_what_failed_is_left_alone(mended: dict[str, bool]) -> None:
    letter, operator = unreadable(), signed_in(make_staff("operator"))
    url = f"{BASE}acknowledge/?on={letter.pk}&on={failed().pk}"

    text, note = preview(operator, url, reason="a test of the network team")
    assert f"{letter.pk}: events, partition 0, offset 7: ValueError: no event" in text
    assert "1 are no unreadable messages" in text
    assert following.dead_letters()["unreadable"] == 1
    page = confirm(operator, url, note).content.decode()

    assert f"Dead letter {letter.pk} is acknowledged" in page
    letter.refresh_from_db()
    assert (letter.resolved_by, letter.reason) == ("staff:operator", "a test of the network team")
    assert (failed().state, failed().resolved_at) == ("failed", None)
    assert AuditEntry.objects.get(action="acknowledge_dead_letters").outcome == "done"


@pytest.mark.usefixtures("db")
def test_all_unreadable_messages_are_acknowledged_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.admin.dead_letters.MOST", 2)
    for offset in range(3):
        dead_letters.record_unreadable(
            topic="events", partition=0, offset=offset, key=None, value=b"?", error=ValueError("no event")
        )
    operator, url = signed_in(make_staff("operator")), f"{BASE}acknowledge/?on=all"

    text, note = preview(operator, url)
    assert "1 more wait: repeat it for those" in text
    confirm(operator, url, note)
    assert following.dead_letters()["unreadable"] == 1
    confirm(operator, url, preview(operator, url)[1])
    assert following.dead_letters()["unreadable"] == 0


def test_what_failed_cannot_be_acknowledged(mended: dict[str, bool]) -> None:
    operator = signed_in(make_staff("operator"))
    answer = operator.post(f"{BASE}{failed().id}/acknowledge/", {"reason": "away with it"}, follow=True)
    assert "is no unreadable message" in answer.content.decode()
    assert (failed().state, failed().resolved_at) == ("failed", None)


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize("role", ["viewer", "teller", "auditor"])
@pytest.mark.parametrize("action", ["retry", "discard", "acknowledge"])
def test_others_can_do_nothing_by_a_hand_made_request(role: str, action: str) -> None:
    browser = signed_in(make_staff(role))
    answer = browser.post(f"{BASE}{failed().id}/{action}/", {"reason": "let me"})
    assert answer.status_code == 403
    assert (failed().state, failed().attempts, failed().discard_requested_by) == ("failed", 3, "")
