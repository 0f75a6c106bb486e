"""What takes two persons: asked for by one, decided by another on that very command and those versions, done once."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.domain.errors import ErrorCode, Refusal
from accounts.models import Account
from accounts.services import approvals as services
from eventstore.idempotency import IdempotencyKey
from eventstore.models import Event
from ops.approvals import carrying_out, sweeping
from ops.approvals.models import Approval
from ops.models import AuditEntry
from tests.accounts.admin.forms import errors, send
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import asked, decide, page_text
from tests.staff import make_staff, signed_in
from tests.threads import together


def limit_url(account: UUID) -> str:
    return f"/admin/accounts/account/{account}/change-overdraft-limit/"


def reverse_url(transaction_id: UUID) -> str:
    return f"/admin/accounts/transaction/of/{transaction_id}/reverse/"


def page_of(approval: Approval) -> str:
    return f"/admin/ops/approval/{approval.pk}/change/"


def ask_for_limit(browser: Client, account: UUID, limit: str = "50.00") -> Approval:
    return asked(send(browser, limit_url(account), limit=limit))


def limit_of(account: UUID) -> int:
    return Account.objects.get(pk=account).overdraft_limit


def test_an_overdraft_is_changed_when_a_second_person_approves_it(
    bank: Bank, alice: Client, bob: Client, ann: UUID
) -> None:
    before = bank.footprint()
    approval = ask_for_limit(alice, ann)
    assert bank.footprint() == before, "nothing is done yet"
    assert (approval.state, approval.asked_by) == ("pending", "staff:alice")
    assert approval.versions == {str(ann): 2}

    page = page_text(bob.get(page_of(approval)))
    assert "Overdraft limit 50.00 EUR, in place of 0.00." in page
    assert '"minor": 5000' in page
    assert approval.digest in page

    approval = decide(bob, approval)

    assert (approval.state, approval.outcome, approval.decided_by) == ("approved", "done", "staff:bob")
    assert limit_of(ann) == 5000
    event = Event.objects.order_by("position").last()
    assert event is not None
    assert (event.metadata["actor"], event.metadata["approved_by"]) == ("staff:alice", "staff:bob")
    assert (event.metadata["reason"], event.metadata["causation_id"]) == ("a test", f"approval:{approval.pk}")
    told = AuditEntry.objects.exclude(action="sign_in").order_by("id").values_list("actor", "action", "outcome")
    assert list(told) == [
        ("staff:alice", "ask_change_overdraft_limit", "done"),
        ("staff:bob", "approve_change_overdraft_limit", "done"),
        ("staff:alice", "change_overdraft_limit", "done"),
    ]


def test_nobody_approves_what_they_asked_for_themselves(bank: Bank, alice: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    before = bank.footprint()
    page = page_text(alice.get(page_of(approval)))
    assert "Approve and carry out" not in page
    assert "Somebody else has to approve it" in page

    another_session = signed_in(User.objects.get(username="alice"))
    for browser in (alice, another_session):
        assert decide(browser, approval).state == "pending"

    assert bank.footprint() == before
    refused = AuditEntry.objects.filter(action="approve_change_overdraft_limit", outcome="refused")
    assert refused.count() == 2
    assert "You asked for it yourself" in refused[0].detail["message"]


def test_the_database_itself_knows_that_it_takes_two(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    own = Approval.objects.filter(pk=approval.pk)
    for change in (
        {"state": "approved", "decided_by": "staff:alice", "decided_at": timezone.now()},
        {"state": "approved", "decided_by": "staff:x", "decider": approval.asker, "decided_at": timezone.now()},
        {"state": "approved"},
        {"command": approval.command.replace("5000", "9000")},
        {"versions": {}},
        {"asked_by": "staff:x"},
        {"expires_at": timezone.now() + timedelta(days=999)},
    ):
        with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
            own.update(**change)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM ops_approval")
    decide(bob, approval, "refuse")
    with pytest.raises(DatabaseError), transaction.atomic():
        own.update(state="approved", decided_by="staff:x")
    assert Approval.objects.get().state == "refused"
    assert limit_of(ann) == 0


@pytest.mark.parametrize("role", ["viewer", "teller", "operator", "auditor"])
def test_who_has_not_the_right_sees_at_most_and_decides_nothing(
    bank: Bank, alice: Client, ann: UUID, role: str
) -> None:
    approval = ask_for_limit(alice, ann)
    before = bank.footprint()
    other = signed_in(make_staff(role))
    may_see = role in ("operator", "auditor")

    page = other.get(page_of(approval))
    assert page.status_code == (200 if may_see else 403)
    assert "Approve and carry out" not in page_text(page)
    for path in ("decide", "withdraw", "collect"):
        sent = {"decision": "approve", "reason": "x", "digest": approval.digest}
        other.post(f"/admin/ops/approval/{approval.pk}/{path}/", sent)

    approval.refresh_from_db()
    assert approval.state == "pending"
    assert bank.footprint() == before
    assert other.post(f"/admin/ops/approval/{approval.pk}/decide/", {"decision": "approve"}).status_code == 403


def test_a_supervisor_who_may_not_do_it_may_not_approve_it(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    """Somebody with a role of their own: the right to decide alone is not enough."""
    approval = ask_for_limit(alice, ann)
    clerk = make_staff("operator", name="clerk")
    clerk.user_permissions.add(Permission.objects.get(codename="decide_approval"))
    assert decide(signed_in(clerk), approval).state == "pending"
    assert limit_of(ann) == 0


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ({"is_active": False}, "staff:alice is not active any more"),
        ({"is_staff": False}, "staff:alice may not do it any more"),
        (
            {"groups": []},
            "staff:alice may not do it any more: it takes the permission accounts.change_overdraft_limit",
        ),
    ],
)
def test_what_somebody_asked_for_who_has_lost_the_right_is_not_approved_and_may_still_be_refused(
    bank: Bank, alice: Client, bob: Client, ann: UUID, lost: dict[str, Any], told: str
) -> None:
    approval = ask_for_limit(alice, ann)
    asker = User.objects.get(username="alice")
    for name, value in lost.items():
        asker.groups.set(value) if name == "groups" else setattr(asker, name, value)
    asker.save()
    before = bank.footprint()
    page = page_text(bob.get(page_of(approval)))
    assert told in page
    assert "Approve and carry out" not in page

    assert decide(bob, approval).state == "pending"

    assert (bank.footprint(), limit_of(ann)) == (before, 0)
    refused = AuditEntry.objects.get(action="approve_change_overdraft_limit", outcome="refused")
    assert told in refused.detail["message"]
    assert "Nothing was done." in refused.detail["message"]
    assert decide(bob, approval, "refuse").state == "refused"


def test_who_has_the_right_again_has_the_question_approved(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    User.objects.filter(username="alice").update(is_active=False)
    decide(bob, approval)
    User.objects.filter(username="alice").update(is_active=True)
    assert (decide(bob, approval).outcome, limit_of(ann)) == ("done", 5000)


def test_a_command_on_other_versions_is_stale(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    bank.deposit(ann, "1.00")

    page = page_text(bob.get(page_of(approval)))
    assert "cannot be approved any more" in page
    assert "Approve and carry out" not in page
    assert "balance 101.00 EUR" in page
    assert "Different from when it was asked for" in page
    before = bank.footprint()
    approval = decide(bob, approval)

    assert (approval.state, approval.outcome) == ("stale", "")
    assert bank.footprint() == before
    assert AuditEntry.objects.get(action="approve_change_overdraft_limit").outcome == "refused"
    again = ask_for_limit(alice, ann)
    assert decide(bob, again).outcome == "done"


def test_the_same_asked_anew_on_new_versions_replaces_the_stale_question(
    bank: Bank, alice: Client, bob: Client, ann: UUID
) -> None:
    old = ask_for_limit(alice, ann)
    assert ask_for_limit(bob, ann) == old, "it waits already"
    bank.deposit(ann, "1.00")
    new = ask_for_limit(alice, ann)
    old.refresh_from_db()
    assert (old.state, new.state) == ("stale", "pending")


def test_a_change_between_approval_and_execution_makes_it_stale(
    bank: Bank, alice: Client, bob: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = ask_for_limit(alice, ann)
    execute = services.execute_one

    def overtaken(envelope: Any) -> Any:
        bank.deposit(ann, "1.00")
        return execute(envelope)

    monkeypatch.setattr(services, "execute_one", overtaken)
    approval = decide(bob, approval)
    assert (approval.state, approval.outcome, limit_of(ann)) == ("stale", "failed", 0)
    assert "version 3, not 2" in approval.result[0]


def test_both_accounts_of_a_transfer_are_pinned(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    cid = bank.open(owner="Cid")
    with configured(approval_reversal_limits="supervisor:EUR=5.00"):
        moved = bank.transfer(ann, cid, "10.00")
        approval = asked(send(alice, reverse_url(moved.transaction_id)))
        assert approval.versions == {str(ann): 3, str(cid): 2}
        bank.deposit(cid, "1.00")
        assert decide(bob, approval).state == "stale"
    assert bank.balance(ann) == 9000


@pytest.mark.parametrize(("limits", "alone"), [("supervisor:EUR=10.00", True), ("supervisor:EUR=9.99", False)])
def test_a_reversal_above_the_role_s_limit_takes_two(
    bank: Bank, alice: Client, bob: Client, ann: UUID, limits: str, alone: bool
) -> None:
    paid = bank.withdraw(ann, "10.00")
    with configured(approval_reversal_limits=limits):
        answer: Any = send(alice, reverse_url(paid.transaction_id))
        if alone:
            assert not Approval.objects.exists()
        else:
            assert bank.balance(ann) == 9000
            approval = asked(answer)
            assert "above 9.99 EUR" in approval.limit
            decide(bob, approval)
    assert bank.balance(ann) == 10000


@pytest.mark.parametrize("limits", ["teller:EUR=1000.00", "supervisor:USD=1000.00", "none"])
def test_a_limit_of_another_role_or_currency_is_none(bank: Bank, alice: Client, ann: UUID, limits: str) -> None:
    paid = bank.withdraw(ann, "0.01")
    with configured(approval_reversal_limits=limits):
        asked(send(alice, reverse_url(paid.transaction_id)))
    assert bank.balance(ann) == 9999


def test_a_limit_for_overdrafts_lets_a_role_change_small_ones_alone(bank: Bank, alice: Client, ann: UUID) -> None:
    with configured(approval_overdraft_limits="supervisor:EUR=20.00"):
        send(alice, limit_url(ann), limit="20.00")
        assert limit_of(ann) == 2000
        ask_for_limit(alice, ann, "20.01")
    assert limit_of(ann) == 2000


def test_what_would_be_refused_is_not_asked_for(bank: Bank, alice: Client, ann: UUID) -> None:
    answer = send(alice, limit_url(ann), limit="99999999999999.00")
    assert answer.status_code == 200
    assert errors(answer)
    bank.deposit(ann, "1.00")
    form = {"limit": "50.00", "expected_version": "2", "reason": "x"}
    answer = alice.post(limit_url(ann), {**form, "idempotency_key": str(uuid4())})
    assert "version 3, not 2" in page_text(answer)
    assert not Approval.objects.exists()
    assert limit_of(ann) == 0


def test_two_who_approve_at_once_have_one_effect(bank: Bank, alice: Client, ann: UUID) -> None:
    approval = ask_for_limit(alice, ann)
    others = [signed_in(make_staff("supervisor", name=f"super{number}")) for number in range(4)]
    url = f"/admin/ops/approval/{approval.pk}/decide/"
    sent = {"decision": "approve", "reason": "yes", "digest": approval.digest}

    together([lambda browser=browser: browser.post(url, sent) for browser in others])

    approval.refresh_from_db()
    assert (approval.state, approval.outcome, limit_of(ann)) == ("approved", "done", 5000)
    assert Event.objects.filter(event_type="OverdraftLimitChanged").count() == 1
    outcomes = AuditEntry.objects.filter(action="approve_change_overdraft_limit").values_list("outcome", flat=True)
    assert sorted(outcomes) == ["done", "refused", "refused", "refused"]


def test_one_who_approves_and_one_who_refuses_at_once_leave_one_decision(
    bank: Bank, alice: Client, bob: Client, ann: UUID
) -> None:
    approval = ask_for_limit(alice, ann)
    carol = signed_in(make_staff("supervisor", name="carol"))
    together([lambda: decide(bob, approval), lambda: decide(carol, Approval.objects.get(), "refuse")])
    approval.refresh_from_db()
    assert (approval.state == "approved") == (limit_of(ann) == 5000)
    assert approval.state in ("approved", "refused")


@pytest.mark.parametrize(
    "sent", [{"digest": "0" * 64}, {"digest": ""}, {"reason": " "}, {"decision": "perhaps"}, {"decision": ""}]
)
def test_a_hand_made_answer_that_is_not_right_decides_nothing(
    bank: Bank, alice: Client, bob: Client, ann: UUID, sent: dict[str, str]
) -> None:
    approval = ask_for_limit(alice, ann)
    assert decide(bob, approval, **sent).state == "pending"
    assert limit_of(ann) == 0


def test_a_refused_and_a_withdrawn_question_are_over(bank: Bank, alice: Client, bob: Client, ann: UUID) -> None:
    refused = decide(bob, ask_for_limit(alice, ann), "refuse", reason="too much")
    assert (refused.state, refused.decision_reason) == ("refused", "too much")
    assert decide(bob, refused).state == "refused"

    mine = ask_for_limit(alice, ann, "40.00")
    bob.post(f"/admin/ops/approval/{mine.pk}/withdraw/")
    mine.refresh_from_db()
    assert mine.state == "pending", "it is not his"
    alice.post(f"/admin/ops/approval/{mine.pk}/withdraw/")
    assert decide(bob, mine).state == "withdrawn"
    assert limit_of(ann) == 0


def test_a_question_that_nobody_decides_on_expires(
    bank: Bank, alice: Client, bob: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = ask_for_limit(alice, ann)
    late = timezone.now() + timedelta(hours=73)
    with monkeypatch.context() as patch:
        patch.setattr("ops.approvals.deciding.timezone.now", lambda: late)
        assert decide(bob, approval).state == "pending"
    monkeypatch.setattr("ops.approvals.sweeping.timezone.now", lambda: late)
    assert sweeping.sweep().expired == 1
    approval.refresh_from_db()
    assert (approval.state, limit_of(ann)) == ("expired", 0)
    assert AuditEntry.objects.get(action="expire_change_overdraft_limit").actor == "system:approvals"


def test_what_is_refused_for_the_moment_only_is_tried_again_and_not_given_up(
    bank: Bank, alice: Client, bob: Client, ann: UUID, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = ask_for_limit(alice, ann)
    pair = IdempotencyKey("approval", str(approval.pk), bytes(32)).lock_pair()
    before = bank.footprint()
    sweeper.execute("SELECT pg_advisory_lock(%s, %s)", pair)
    try:
        url = f"/admin/ops/approval/{approval.pk}/decide/"
        sent = {"decision": "approve", "reason": "yes", "digest": approval.digest}
        page = page_text(bob.post(url, sent, follow=True))
        approval.refresh_from_db()
    finally:
        sweeper.execute("SELECT pg_advisory_unlock(%s, %s)", pair)

    assert "It could not be carried out yet, and is tried again every half minute." in page
    assert (approval.state, approval.outcome, approval.result) == ("approved", "", [])
    assert bank.footprint() == before
    assert not AuditEntry.objects.filter(action="change_overdraft_limit").exists()
    monkeypatch.setattr(sweeping, "INTERRUPTED_AFTER", timedelta(0))
    sweeping.sweep()
    approval.refresh_from_db()
    assert (approval.outcome, limit_of(ann)) == ("done", 5000)


@pytest.mark.parametrize("code", [ErrorCode.CONCURRENCY_CONFLICT, ErrorCode.COMMAND_IN_PROGRESS])
def test_what_is_refused_for_the_moment_for_too_long_is_given_up(
    bank: Bank, alice: Client, bob: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch, code: ErrorCode
) -> None:
    def busy(envelope: Any) -> Any:
        raise Refusal(code, "Others were faster. Nothing was done.")

    monkeypatch.setattr(services, "execute_one", busy)
    approval = decide(bob, ask_for_limit(alice, ann))
    assert (approval.state, approval.outcome) == ("approved", "")
    monkeypatch.setattr(sweeping, "INTERRUPTED_AFTER", timedelta(0))
    monkeypatch.setattr(carrying_out, "GIVE_UP_AFTER", timedelta(0))
    sweeping.sweep()

    approval.refresh_from_db()
    assert (approval.outcome, limit_of(ann)) == ("failed", 0)
    assert "Look whether it was done before asking for it anew" in approval.result[0]


def test_what_was_interrupted_after_the_decision_is_carried_out_once(
    bank: Bank, alice: Client, bob: Client, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = ask_for_limit(alice, ann)
    with monkeypatch.context() as patch:  # the process dies after the command, before its outcome is written
        patch.setattr(carrying_out, "_write", lambda *args: None)
        assert decide(bob, approval).outcome == ""
    assert limit_of(ann) == 5000
    assert sweeping.sweep().resumed == 0, "not at once"
    monkeypatch.setattr(sweeping, "INTERRUPTED_AFTER", timedelta(0))

    assert sweeping.sweep().resumed == 1

    approval.refresh_from_db()
    assert (approval.outcome, limit_of(ann)) == ("done", 5000)
    assert Event.objects.filter(event_type="OverdraftLimitChanged").count() == 1


def test_the_inbox_shows_mine_and_others_with_age_and_the_side_bar_counts(
    bank: Bank, alice: Client, bob: Client, ann: UUID
) -> None:
    ask_for_limit(alice, ann)
    cid = bank.open(owner="Cid")
    ask_for_limit(bob, cid, "7.00")
    inbox = "/admin/ops/approval/"
    mine = page_text(alice.get(f"{inbox}?state=pending&whose=mine"))
    assert f"account:{ann}" in mine
    assert f"account:{cid}" not in mine
    others = page_text(alice.get(f"{inbox}?state=pending&whose=others"))
    assert f"account:{cid}" in others
    assert f"account:{ann}" not in others
    assert re.search(r"\d+ s", others)

    def counted(browser: Client) -> list[str]:
        return re.findall(r"bg-orange-100[^>]*>\s*(\d+)\s*<", page_text(browser.get("/admin/")))

    assert counted(alice) == ["1"]
    assert counted(signed_in(make_staff("supervisor", name="carol"))) == ["2"]
    assert counted(signed_in(make_staff("auditor"))) == []
