"""What stands on the pages of approvals, for people: amounts as they are written, and which account has changed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts.services import approvals as services
from ops.approvals.models import Approval, canonical, digest_of
from ops.models import ApiClient, AuditEntry
from tests.accounts.admin.forms import messages, send
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import asked, decide, page_text
from tests.ops.approvals.test_keys import ask_for_key
from tests.ops.approvals.test_two_persons import ask_for_limit, page_of
from tests.staff import make_staff, signed_in

INBOX = "/admin/ops/approval/"


def stated(answer: Any) -> dict[str, str]:
    """What the page says of the command."""
    return dict(answer.context["in_words"])


def test_an_amount_is_written_as_people_read_it_in_the_list_on_the_page_and_in_the_audit(
    bank: Bank, alice: Client, bob: Client, ann: UUID
) -> None:
    approval = ask_for_limit(alice, ann, "1000.00")

    assert "Overdraft limit 1000.00 EUR, in place of 0.00." in page_text(bob.get(INBOX))
    answer = bob.get(page_of(approval))
    assert stated(answer) == {"Account": f"Ann, {ann}", "Limit": "1000.00 EUR"}
    assert "<dd>1000.00 EUR</dd>" in page_text(answer)
    entry = AuditEntry.objects.get(action="ask_change_overdraft_limit")
    assert entry.detail["in_words"] == {"Account": f"Ann, {ann}", "Limit": "1000.00 EUR"}
    assert entry.detail["command"]["limit"] == {"minor": 100000, "currency": "EUR"}, "and exactly"

    decide(bob, approval, "refuse")
    assert "Overdraft limit 1000.00 EUR" in page_text(bob.get(INBOX))
    assert stated(bob.get(page_of(approval)))["Limit"] == "1000.00 EUR"


def test_each_command_of_staff_is_told_in_words(bank: Bank, bob: Client, ann: UUID) -> None:
    teller, cid, paid = signed_in(make_staff("teller")), bank.open(owner="Cid"), bank.withdraw(ann, "10.00")
    hold, form = bank.hold(ann, "20.00"), "/admin/accounts/account"
    about, to_cid = {"description": "Rent"}, {"target_account_id": str(cid)}
    ann_s, cid_s = f"Ann, {ann}", f"Cid, {cid}"

    def told(browser: Client, url: str, **fields: str) -> dict[str, str]:
        before = set(Approval.objects.values_list("pk", flat=True))
        send(browser, url, **fields)
        approval = Approval.objects.exclude(pk__in=before).get()
        return stated(bob.get(page_of(approval)))

    with configured(approval_movement_limits="teller:EUR=1.00", approval_reversal_limits="none"):
        assert told(teller, f"{form}/{ann}/deposit/", amount="5.00", **about) == {
            "Account": ann_s,
            "Amount": "5.00 EUR",
            "Contra": "cash",
            "Description": "Rent",
        }
        assert told(teller, f"{form}/{ann}/transfer/", amount="5.00", **to_cid) == {
            "Account": ann_s,
            "To account": cid_s,
            "Amount": "5.00 EUR",
        }
        assert told(teller, f"/admin/accounts/hold/{hold}/capture-hold/", amount="5.00", rest="kept", **to_cid) == {
            "Hold": f"{hold}, on the account of Ann, {ann}",
            "Amount": "5.00 EUR",
            "Final": "no",
            "To account": cid_s,
        }
        opened = told(teller, f"{form}/open/", owner="Dora", opening_deposit="9.00", currency="EUR")
        assert (opened["Owner"], opened["Opening deposit"], opened["Overdraft limit"]) == (
            "Dora",
            "9.00 EUR",
            "0.00 EUR",
        )
        assert opened["Account"].startswith("new, ")
        extended = told(
            teller, f"/admin/accounts/hold/{hold}/extend-hold/", amount="5.00", last_day=_in_twenty_days()
        )
        assert (extended["Amount"], extended["Expires at"][-4:]) == ("5.00 EUR", " UTC")
        alice = signed_in(make_staff("supervisor", name="alice"))
        url = f"/admin/accounts/transaction/of/{paid.transaction_id}/reverse/"
        assert told(alice, url) == {"Transaction": str(paid.transaction_id)}


def _in_twenty_days() -> str:
    return str(datetime.now(UTC).date() + timedelta(days=20))


def test_what_let_a_question_go_stale_is_named(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    approval, cid = ask_for_limit(alice, ann), bank.open(owner="Cid")
    bank.deposit(ann, "1.00")
    bank.deposit(cid, "1.00")
    told = f"The account of Ann, {ann}, stood at version 2 and is at 3 now."

    assert told in page_text(bob.get(page_of(approval)))
    answer = bob.post(
        f"{INBOX}{approval.pk}/decide/", {"decision": "approve", "reason": "x", "digest": approval.digest}
    )

    assert told in messages(answer)[-1]
    assert str(cid) not in messages(answer)[-1]
    approval.refresh_from_db()
    assert (approval.state, told in approval.decision_reason) == ("stale", True)
    assert told in page_text(bob.get(page_of(approval))), "also afterwards"
    refused = AuditEntry.objects.get(action="approve_change_overdraft_limit")
    assert told in refused.detail["message"]


def test_a_question_that_was_asked_anew_says_what_had_changed(bank: Bank, alice: Client, ann: UUID) -> None:
    old = ask_for_limit(alice, ann)
    bank.deposit(ann, "1.00")
    ask_for_limit(alice, ann)
    old.refresh_from_db()
    assert old.state == "stale"
    assert old.decision_reason == (
        f"It was asked for anew. The account of Ann, {ann}, stood at version 2 and is at 3 now."
    )


def test_what_changed_between_approval_and_execution_is_named(
    bank: Bank, alice: Client, bob: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval, execute = ask_for_limit(alice, ann), services.execute_one

    def overtaken(envelope: Any) -> Any:
        bank.deposit(ann, "1.00")
        return execute(envelope)

    monkeypatch.setattr(services, "execute_one", overtaken)
    approval = decide(bob, approval)
    assert approval.state == "stale"
    assert f"The account of Ann, {ann}, stood at version 2 and is at 3 now." in approval.result[0]


def test_what_nobody_decided_on_says_how_it_ended(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    alice.post(f"{INBOX}{approval.pk}/withdraw/")

    told = dict(bob.get(page_of(approval)).context["fields"])

    assert (told["Asked because"], told["Ended because"]) == ("a test", "taken back by who asked")
    assert "Decided by" not in told
    told = dict(bob.get(page_of(decide(bob, ask_for_limit(alice, ann), "refuse"))).context["fields"])
    assert (told["Decided by"], told["Decided because"]) == ("staff:bob", "I looked at it")


def test_a_question_that_today_s_code_cannot_read_is_still_shown(alice: Client, bank: Bank, ann: UUID) -> None:
    text = canonical({"account_id": str(ann), "limit": 5})
    Approval.objects.create(
        action="change_overdraft_limit",
        subject=f"account:{ann}",
        command=text,
        digest=digest_of(text),
        preview=["Overdraft limit 0.05 EUR."],
        versions={},
        asked_by="staff:x",
        reason="long ago",
        expires_at=timezone.now(),
        state="withdrawn",
        decided_at=timezone.now(),
    )
    page = page_text(alice.get(page_of(Approval.objects.get())))
    assert "Overdraft limit 0.05 EUR." in page
    assert "The exact command" in page


def test_what_is_no_account_is_named_as_well(alice: Client, bob: Client) -> None:
    acme = ApiClient.objects.create(name="acme")
    approval = asked(ask_for_key(alice, acme, "payments:write"))
    ApiClient.objects.update(reach="all")
    assert "reach was own and is all now." in page_text(bob.get(page_of(approval)))
    assert decide(bob, approval).state == "stale"
