"""Holds and the second person: what is reserved can be captured at once, and a capture may pay an account, as a
transfer does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from accounts.domain.commands import CaptureHold
from accounts.models import Hold
from accounts.services.second_person import second_person
from ops.approvals.models import Approval
from ops.models import AuditEntry
from tests.accounts.admin.forms import confirms, errors, form_of, send, shown
from tests.bank import Bank, funds
from tests.configured import configured
from tests.ops.admin.dialog import decide, page_text
from tests.staff import make_staff, signed_in


@pytest.fixture
def tellers_have_limits() -> Iterator[None]:
    with configured(approval_movement_limits="teller:EUR=10.00,supervisor:EUR=1000.00"):
        yield


@pytest.fixture
def teller(db: None) -> Client:
    return signed_in(make_staff("teller"))


def on_hold(hold: UUID, command: str) -> str:
    return f"/admin/accounts/hold/{hold}/{command}-hold/"


def place_url(account: UUID) -> str:
    return f"/admin/accounts/account/{account}/place-hold/"


@pytest.mark.usefixtures("tellers_have_limits")
def test_to_extend_a_hold_beyond_the_limit_takes_two(bank: Bank, teller: Client, bob: Client, ann: UUID) -> None:
    hold = bank.hold(ann, "9.00")
    before = bank.footprint()

    send(teller, on_hold(hold, "extend"), amount="1.01")

    assert bank.footprint() == before
    approval = Approval.objects.get()
    assert (approval.action, approval.subject) == ("extend_hold", f"hold:{hold}")
    assert approval.limit == "Holds above 10.00 EUR take a second person; this one is 10.01."
    page = page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    assert "Extend a hold: 1.01 EUR more, 10.01 EUR in all." in page
    bank.deposit(ann, "1.00")
    assert decide(bob, approval).outcome == "done"
    assert funds(ann) == (10100, 1001, 9099)


@pytest.mark.usefixtures("tellers_have_limits")
def test_to_extend_a_hold_within_the_limit_or_for_longer_takes_one(bank: Bank, teller: Client, ann: UUID) -> None:
    small, large = bank.hold(ann, "9.00"), bank.hold(ann, "50.00")
    last = datetime.now(UTC).date() + timedelta(days=20)

    send(teller, on_hold(small, "extend"), amount="1.00")
    send(teller, on_hold(large, "extend"), last_day=str(last))

    assert funds(ann) == (10000, 6000, 4000)
    assert Hold.objects.get(pk=large).expires_at.date() == last + timedelta(days=1)
    assert not Approval.objects.exists()


@pytest.mark.usefixtures("tellers_have_limits")
def test_what_was_captured_of_a_hold_is_not_counted_when_it_is_extended(
    bank: Bank, teller: Client, ann: UUID
) -> None:
    hold = bank.hold(ann, "9.00")
    bank.capture(hold, "8.00", final=False)
    send(teller, on_hold(hold, "extend"), amount="9.00")
    assert (funds(ann), Approval.objects.exists()) == ((9200, 1000, 8200), False)


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_hold_above_the_limit_is_placed_by_two(bank: Bank, teller: Client, bob: Client, ann: UUID) -> None:
    send(teller, place_url(ann), amount="10.00")
    assert (funds(ann)[1], Approval.objects.exists()) == (1000, False)
    before = bank.footprint()

    send(teller, place_url(ann), amount="10.01")

    assert bank.footprint() == before
    approval = Approval.objects.get()
    assert approval.limit == "Holds above 10.00 EUR take a second person; this one is 10.01."
    assert "Place a hold: 10.01 EUR." in page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    assert decide(bob, approval).outcome == "done"
    assert funds(ann) == (10000, 2001, 7999)


def test_a_capture_for_an_account_is_seen_before_it_is_done(bank: Bank, teller: Client, ann: UUID) -> None:
    hold, cid = bank.hold(ann, "20.00"), bank.open(owner="Cid")
    url, before = on_hold(hold, "capture"), bank.footprint()
    sent = {**form_of(teller, url), "amount": "12.00", "target_account_id": str(cid), "reason": "a test"}

    page: Any = teller.post(url, sent)

    assert confirms(page)
    assert bank.footprint() == before
    for owner, account_id in (("Ann", ann), ("Cid", cid)):
        assert owner in page_text(page)
        assert str(account_id) in page_text(page)
    teller.post(url, shown(page))
    assert (funds(ann), funds(cid)) == ((8800, 0, 8800), (1200, 0, 1200))


def test_a_capture_that_names_no_account_goes_where_the_hold_says(bank: Bank, teller: Client, ann: UUID) -> None:
    hold = bank.hold(ann, "20.00")
    field = teller.get(on_hold(hold, "capture")).context["form"]["target_account_id"]
    assert field.help_text == "The id of the account that receives the money. Empty: it goes out by Cards."
    send(teller, on_hold(hold, "capture"), amount="12.00")
    assert funds(ann) == (8800, 0, 8800)


@pytest.mark.parametrize("target", ["itself", "nobody's", "no id"])
def test_a_capture_for_an_account_that_cannot_be_paid_says_so_at_its_field(
    bank: Bank, teller: Client, ann: UUID, target: str
) -> None:
    hold = bank.hold(ann, "20.00")
    before = bank.footprint()
    ids = {"itself": str(ann), "nobody's": str(hold), "no id": "Cid"}

    answer = send(teller, on_hold(hold, "capture"), target_account_id=ids[target])

    assert list(errors(answer)) == ["target_account_id"]
    assert bank.footprint() == before


@pytest.fixture
def who_may_capture_only(db: None) -> User:
    user = make_staff("viewer", name="casey")
    user.user_permissions.add(Permission.objects.get(codename="capture_hold"))
    return user


def test_a_capture_for_an_account_takes_the_permission_to_transfer(
    bank: Bank, ann: UUID, who_may_capture_only: User
) -> None:
    casey, hold, cid = signed_in(who_may_capture_only), bank.hold(ann, "20.00"), bank.open(owner="Cid")
    before = bank.footprint()

    answer = send(casey, on_hold(hold, "capture"), target_account_id=str(cid))

    told = "To pay another account takes the permission accounts.transfer. Nothing was done."
    assert errors(answer) == {"target_account_id": [told]}
    assert bank.footprint() == before
    entry = AuditEntry.objects.get(action="capture_hold")
    assert (entry.outcome, entry.detail["code"]) == ("refused", "permission_denied")
    send(casey, on_hold(hold, "capture"))
    assert funds(ann) == (8000, 0, 8000), "one that names none takes no more than it did"


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_capture_for_an_account_above_the_limit_takes_two_who_may_transfer(
    bank: Bank, teller: Client, bob: Client, ann: UUID, who_may_capture_only: User
) -> None:
    hold, cid = bank.hold(ann, "20.00"), bank.open(owner="Cid")
    who_may_capture_only.user_permissions.add(
        *Permission.objects.filter(codename__in=["view_approval", "decide_approval"])
    )
    before = bank.footprint()

    send(teller, on_hold(hold, "capture"), amount="10.01", target_account_id=str(cid))

    assert bank.footprint() == before
    approval = decide(signed_in(who_may_capture_only), Approval.objects.get())
    assert approval.state == "pending", "to capture alone is not enough"
    assert bank.footprint() == before
    assert decide(bob, approval).outcome == "done"
    assert (funds(ann), funds(cid)) == ((8999, 0, 8999), (1001, 0, 1001))


@pytest.mark.usefixtures("tellers_have_limits")
def test_who_may_transfer_no_more_has_no_capture_for_an_account_approved(
    bank: Bank, bob: Client, ann: UUID, who_may_capture_only: User
) -> None:
    hold, cid = bank.hold(ann, "20.00"), bank.open(owner="Cid")
    transfer = Permission.objects.get(codename="transfer")
    who_may_capture_only.user_permissions.add(transfer)
    send(signed_in(who_may_capture_only), on_hold(hold, "capture"), target_account_id=str(cid))
    who_may_capture_only.user_permissions.remove(transfer)
    before = bank.footprint()

    approval = decide(bob, Approval.objects.get())

    assert (approval.state, bank.footprint()) == ("pending", before)
    page = page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    assert "staff:casey may not do it any more: it takes the permission accounts.transfer." in page


@pytest.mark.usefixtures("tellers_have_limits")
def test_what_came_to_the_payee_counts_for_a_capture(bank: Bank, teller: Client, ann: UUID) -> None:
    hold, cid = bank.hold(ann, "20.00"), bank.open(owner="Cid")
    send(teller, f"/admin/accounts/account/{cid}/deposit/", amount="6.00")
    before = bank.footprint()

    send(teller, on_hold(hold, "capture"), amount="4.01", target_account_id=str(cid))

    assert bank.footprint() == before
    assert f"6.00 were moved on {cid}, this one is 4.01." in Approval.objects.get().limit


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_capture_of_all_that_is_held_counts_with_what_is_still_held(bank: Bank, ann: UUID) -> None:
    hold = bank.hold(ann, "12.00")
    bank.capture(hold, "2.00", final=False)
    why, limit = second_person(CaptureHold(hold), ["teller"], "staff:teller")
    assert (why, limit is not None and limit.minor) == (None, 1000)
