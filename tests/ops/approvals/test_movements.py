"""APPROVAL_MOVEMENT_LIMITS: beyond them money that staff move takes two persons; not set, nobody is limited."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.domain.commands import Deposit, OpenAccount
from accounts.services import Envelope, Executed, approvals, execute
from eventstore.errors import StoreBusy
from eventstore.events import Context, new_id
from eventstore.models import Event
from ops.approvals.models import Approval
from ops.approvals.registry import CannotDo
from tests.accounts.admin.forms import form_of, messages, send
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import decide, page_text
from tests.staff import make_staff, signed_in

HOUR = timedelta(hours=1)


@pytest.fixture
def tellers_have_limits() -> Iterator[None]:
    with configured(approval_movement_limits="teller:EUR=10.00,supervisor:EUR=1000.00"):
        yield


def at(account_id: UUID, command: str) -> str:
    return f"/admin/accounts/account/{account_id}/{command}/"


def movements(bank: Bank, ann: UUID, amount: str) -> list[tuple[str, dict[str, str], str]]:
    """The form of each way to move money, filled in, with the event that it leads to; each on another account, since
    what is moved on one counts together."""
    bea, eve, cid = bank.open("100.00", owner="Bea"), bank.open("100.00", owner="Eve"), bank.open(owner="Cid")
    hold = bank.hold(bank.open("100.00", owner="Fay"), "20.00")
    return [
        (at(ann, "deposit"), {"amount": amount}, "Deposited"),
        (at(bea, "withdraw"), {"amount": amount}, "Withdrawn"),
        (at(eve, "transfer"), {"amount": amount, "target_account_id": str(cid)}, "TransferReceived"),
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
def test_parts_of_an_amount_that_one_person_moves_on_an_account_in_a_day_count_together(
    bank: Bank, bob: Client, ann: UUID
) -> None:
    teller, cid = signed_in(make_staff("teller")), bank.open(owner="Cid")
    send(teller, at(ann, "deposit"), amount="6.00")
    before = bank.footprint()

    send(teller, at(ann, "withdraw"), amount="4.01")

    assert bank.footprint() == before
    approval = Approval.objects.get()
    told = (
        "Movements above 10.00 EUR by one person on an account in a day (UTC) take a second one: 6.00 were moved on "
        f"{ann}, this one is 4.01."
    )
    assert approval.limit == told
    assert told in page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    assert decide(bob, approval).outcome == "done"
    assert bank.balance(ann) == 10199
    for url in (at(ann, "withdraw"), at(cid, "deposit")):
        send(teller, url, amount="4.00")  # what was approved does not count, nor what is on another account
    send(signed_in(make_staff("teller", name="tom")), at(ann, "withdraw"), amount="10.00")  # nor another's
    assert (bank.balance(ann), bank.balance(cid)) == (8799, 400)
    assert Approval.objects.count() == 1


@pytest.mark.usefixtures("tellers_have_limits")
def test_both_accounts_of_a_transfer_and_that_of_a_hold_count(bank: Bank, ann: UUID) -> None:
    teller, cid = signed_in(make_staff("teller")), bank.open("100.00", owner="Cid")
    hold = bank.hold(cid, "20.00")
    send(teller, at(cid, "deposit"), amount="6.00")
    before = bank.footprint()

    send(teller, at(ann, "transfer"), amount="5.00", target_account_id=str(cid))
    send(teller, f"/admin/accounts/hold/{hold}/capture-hold/", amount="5.00")

    assert bank.footprint() == before
    assert set(Approval.objects.values_list("action", flat=True)) == {"transfer", "capture_hold"}


@pytest.mark.usefixtures("tellers_have_limits")
def test_what_was_moved_yesterday_counts_no_more(bank: Bank) -> None:
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    [opened] = execute([bank.envelope(OpenAccount(ann := new_id(), "Ann", "EUR"))], recorded_at=midnight - HOUR)
    before = Envelope(Deposit(ann, bank.money("10.00")), Context(actor="staff:teller", source="admin"))
    [paid] = execute([before], recorded_at=midnight - timedelta(microseconds=1))
    assert isinstance(opened, Executed)
    assert isinstance(paid, Executed)

    send(signed_in(make_staff("teller")), at(ann, "withdraw"), amount="10.00")

    assert (bank.balance(ann), Approval.objects.exists()) == (0, False)


@pytest.mark.usefixtures("tellers_have_limits")
def test_what_was_moved_at_midnight_counts_for_the_day_that_begins(bank: Bank) -> None:
    midnight = datetime.combine(datetime.now(UTC).date(), time(), UTC)
    execute([bank.envelope(OpenAccount(ann := new_id(), "Ann", "EUR"))], recorded_at=midnight - HOUR)
    paid = Envelope(Deposit(ann, bank.money("10.00")), Context(actor="staff:teller", source="admin"))
    execute([paid], recorded_at=midnight)

    send(signed_in(make_staff("teller")), at(ann, "withdraw"), amount="0.01")

    assert (bank.balance(ann), Approval.objects.count()) == (1000, 1)


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_reversal_counts_for_its_own_limit_alone(bank: Bank, alice: Client, ann: UUID) -> None:
    paid = bank.withdraw(ann, "100.00")
    with configured(approval_movement_limits="supervisor:EUR=10.00"):
        send(alice, f"/admin/accounts/transaction/of/{paid.transaction_id}/reverse/")
        send(alice, at(ann, "withdraw"), amount="10.00")
    assert (bank.balance(ann), Approval.objects.exists()) == (9000, False)


@pytest.mark.usefixtures("tellers_have_limits")
def test_of_several_roles_the_highest_limit_counts(bank: Bank, ann: UUID) -> None:
    both = make_staff("teller")
    both.groups.add(Group.objects.get(name="supervisor"))
    send(signed_in(both), at(ann, "deposit"), amount="1000.00")
    assert (bank.balance(ann), Approval.objects.exists()) == (110000, False)


@pytest.mark.usefixtures("tellers_have_limits")
def test_what_cannot_be_looked_at_because_the_bank_is_busy_is_not_asked_for(
    bank: Bank, ann: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(envelope: Any) -> Any:
        raise StoreBusy("no lock")

    before = bank.footprint()
    monkeypatch.setattr(approvals, "would_execute", busy)
    with pytest.raises(CannotDo, match="The bank is busy: no lock"):
        approvals.PayIn().preview(approvals.as_command(Deposit(ann, bank.money("10.01"))))
    assert bank.footprint() == before


@pytest.mark.usefixtures("tellers_have_limits")
def test_a_form_that_is_sent_twice_is_answered_as_it_was_and_asks_for_nothing(bank: Bank, ann: UUID) -> None:
    teller = signed_in(make_staff("teller"))
    form = form_of(teller, at(ann, "deposit")) | {"amount": "6.00", "reason": "a double click"}

    answers = [teller.post(at(ann, "deposit"), form) for _ in range(2)]

    assert "had been done before" in messages(answers[1])[-1]
    assert (bank.balance(ann), Approval.objects.exists()) == (10600, False)


def test_a_version_that_nobody_can_have_seen_yet_does_nothing(bank: Bank, ann: UUID) -> None:
    """It would let a movement count that is decided on beside it, and does not stand in the books yet."""
    teller = signed_in(make_staff("teller"))
    before, next_one = bank.footprint(), int(form_of(teller, at(ann, "deposit"))["expected_version"]) + 1

    answer = send(teller, at(ann, "deposit"), amount="1.00", expected_version=str(next_one))

    assert "The form came incomplete, so nothing was done." in page_text(answer)
    assert bank.footprint() == before


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
    before, told = bank.footprint(), f" It is the account of {whose}, {ids[whose]}.{figures}"

    page = page_text(bob.get(f"/admin/ops/approval/{approval.pk}/change/"))
    approval = decide(bob, approval)

    assert f"{told} Nothing would be done." in page
    assert (approval.state, approval.outcome) == ("approved", "failed")
    assert approval.result[0].endswith(told)
    assert bank.footprint() == before
