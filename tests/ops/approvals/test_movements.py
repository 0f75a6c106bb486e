"""APPROVAL_MOVEMENT_LIMITS: beyond them money that staff move takes two persons; not set, nobody is limited."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from eventstore.models import Event
from ops.approvals.models import Approval
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import decide, page_text
from tests.staff import make_staff, signed_in


@pytest.fixture
def tellers_have_limits() -> Iterator[None]:
    with configured(approval_movement_limits="teller:EUR=10.00,supervisor:EUR=1000.00"):
        yield


def movements(bank: Bank, ann: UUID, amount: str) -> list[tuple[str, dict[str, str], str]]:
    """The form of each way to move money, filled in, with the event that it leads to."""
    account = f"/admin/accounts/account/{ann}"
    cid, hold = bank.open(owner="Cid"), bank.hold(ann, "20.00")
    return [
        (f"{account}/deposit/", {"amount": amount}, "Deposited"),
        (f"{account}/withdraw/", {"amount": amount}, "Withdrawn"),
        (f"{account}/transfer/", {"amount": amount, "target_account_id": str(cid)}, "TransferReceived"),
        (f"/admin/accounts/hold/{hold}/capture-hold/", {"amount": amount}, "HoldCaptured"),
        ("/admin/accounts/account/open/", {"owner": "Dora", "opening_deposit": amount}, "AccountOpened"),
    ]


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_movement_above_the_role_s_limit_takes_two_however_much_happens_meanwhile(
    bank: Bank, bob: Client, ann: UUID
) -> None:
    teller = signed_in(make_staff("teller"))
    for url, fields, event_type in movements(bank, ann, "10.01"):
        before, done = bank.footprint(), Event.objects.filter(event_type=event_type).count()
        answer: Any = send(teller, url, **fields)
        assert teller.get(answer.headers["Location"]).status_code == 200, "who may not see the question goes back"
        approval = Approval.objects.get(state="pending")
        assert bank.footprint() == before
        assert "Movements above 10.00 EUR take a second person; this one is 10.01." in approval.limit
        assert "10.01 EUR" in page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
        bank.deposit(ann, "1.00")

        approval = decide(bob, approval)

        assert (approval.state, approval.outcome) == ("approved", "done"), approval.result
        event = Event.objects.filter(event_type=event_type).order_by("position").last()
        assert event is not None
        assert (event.metadata["actor"], event.metadata["approved_by"]) == ("staff:teller", "staff:bob")
        assert Event.objects.filter(event_type=event_type).count() == done + 1 + (event_type == "Deposited")


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_movement_within_the_role_s_limit_takes_one(bank: Bank, alice: Client, ann: UUID) -> None:
    teller = signed_in(make_staff("teller"))
    for browser, amount in ((teller, "10.00"), (alice, "10.01")):
        for url, fields, event_type in movements(bank, ann, amount):
            done = Event.objects.filter(event_type=event_type).count()
            send(browser, url, **fields)
            assert Event.objects.filter(event_type=event_type).count() == done + 1, url
    assert not Approval.objects.exists()


@pytest.mark.parametrize("limits", [None, "none", "teller:USD=10.00"])
def test_only_where_limits_of_movements_are_set_is_anybody_limited(bank: Bank, ann: UUID, limits: str | None) -> None:
    teller = signed_in(make_staff("teller"))
    with configured(**{} if limits is None else {"approval_movement_limits": limits}):
        send(teller, f"/admin/accounts/account/{ann}/withdraw/", amount="100.00")
    alone = limits in (None, "none")
    assert (bank.balance(ann), Approval.objects.exists()) == ((0, False) if alone else (10000, True))


@pytest.mark.usefixtures("tellers_have_limits")
@pytest.mark.parametrize(
    ("stops", "whose", "figures"),
    [("freeze the payee", "Cid", ""), ("empty the payer", "Ann", " Available are 0.00 EUR.")],
)
def test_the_page_of_an_approval_names_the_account_for_which_it_cannot_be_done(
    bank: Bank, bob: Client, ann: UUID, stops: str, whose: str, figures: str
) -> None:
    teller = signed_in(make_staff("teller"))
    ids = {"Ann": ann, "Cid": bank.open(owner="Cid")}
    send(teller, f"/admin/accounts/account/{ann}/transfer/", amount="50.00", target_account_id=str(ids["Cid"]))
    approval = Approval.objects.get()
    bank.freeze(ids["Cid"]) if stops == "freeze the payee" else bank.withdraw(ann, "100.00")
    before, told = bank.footprint(), f" It is the account of {whose}, {ids[whose]}.{figures} Nothing "

    page = page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    approval = decide(bob, approval)

    assert f"{told}would be done." in page
    assert (approval.state, approval.outcome) == ("approved", "failed")
    assert f"{told}was done." in approval.result[0]
    assert bank.footprint() == before
