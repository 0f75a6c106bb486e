"""What one person moves alone on an account in a day counts together, also where it is moved at the same moment."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.admin.commands import views
from accounts.domain.commands import Command, Deposit, ReverseTransaction, Transfer, Withdraw
from accounts.domain.errors import ErrorCode
from accounts.services import Envelope, Executed, Refused, execute, execute_one
from accounts.services.day_limits import Moved, look_up
from eventstore.events import Context, new_id
from ops.approvals.models import Approval
from tests.accounts.admin.forms import form_of, shown
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import page_text
from tests.staff import make_staff, signed_in
from tests.threads import together


@pytest.fixture(autouse=True)
def tellers_have_limits() -> Iterator[None]:
    with configured(approval_movement_limits="teller:EUR=10.00,supervisor:EUR=1000.00"):
        yield


@pytest.fixture
def teller(db: None) -> User:
    return make_staff("teller")


def by_itself(envelope: Envelope) -> Executed:
    """As another process does it, which shares no batch with this one."""
    [outcome] = execute([envelope])
    if not isinstance(outcome, Executed):
        raise outcome.as_error()
    return outcome


def looked_at(browser: Client, payer: UUID, payee: UUID, amount: str) -> tuple[str, dict[str, str]]:
    """A transfer whose effect was seen: the next sending does it."""
    url = f"/admin/accounts/account/{payer}/transfer/"
    fields = {"target_account_id": str(payee), "amount": amount, "reason": "a test"}
    return url, shown(browser.post(url, {**form_of(browser, url), **fields}))


@pytest.mark.parametrize("executes", [execute_one, by_itself], ids=["in one batch", "from two processes"])
def test_two_transfers_at_once_from_two_accounts_to_one_payee_do_not_miss_each_other(
    bank: Bank, teller: User, monkeypatch: pytest.MonkeyPatch, executes: Callable[[Envelope], Executed]
) -> None:
    payers, payee = [bank.open("100.00"), bank.open("100.00", owner="Bea")], bank.open(owner="Cid")
    browsers = [signed_in(teller), signed_in(teller)]
    sent = [looked_at(browser, payer, payee, "6.00") for browser, payer in zip(browsers, payers, strict=True)]
    all_looked_up = threading.Barrier(2)

    def when_both_have_looked(envelope: Envelope) -> Executed:
        all_looked_up.wait(timeout=20)
        return executes(envelope)

    monkeypatch.setattr(views, "execute_one", when_both_have_looked)
    together([lambda b=b, s=s: b.post(*s) for b, s in zip(browsers, sent, strict=True)])

    assert bank.balance(payee) == 600, "one of them"
    assert sorted(bank.balance(payer) for payer in payers) == [9400, 10000]
    approval = Approval.objects.get()
    assert (approval.action, approval.state, approval.asked_by) == ("transfer", "pending", "staff:teller")
    told = (
        "Movements above 10.00 EUR by one person on an account in a day (UTC) take a second one: 6.00 were moved on "
        f"{payee}, this one is 6.00."
    )
    assert approval.limit == told
    assert told in page_text(signed_in(make_staff("supervisor")).get(f"/admin/ops/approval/{approval.pk}/change/"))


def test_what_others_move_at_the_same_moment_and_what_was_approved_keeps_nobody_from_it(
    bank: Bank, teller: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee = bank.open("100.00"), bank.open(owner="Cid")
    browser, as_teller = signed_in(teller), {"actor": "staff:teller", "source": "admin"}
    sent = looked_at(browser, payer, payee, "6.00")

    def overtaken(envelope: Envelope) -> Executed:
        bank.deposit(payee, "50.00")
        execute([Envelope(Deposit(payee, bank.money("40.00")), Context(**as_teller, approved_by="staff:bob"))])
        return execute_one(envelope)

    monkeypatch.setattr(views, "execute_one", overtaken)
    browser.post(*sent)

    assert (bank.balance(payee), Approval.objects.exists()) == (9600, False)


def test_commands_of_one_batch_count_for_those_behind_them(bank: Bank, teller: User) -> None:
    payers, payee = [bank.open("100.00"), bank.open("100.00", owner="Bea")], bank.open(owner="Cid")
    undone = bank.deposit(payee, "9.00")
    limit = look_up([*payers, payee], "staff:teller", minor=1000)

    def envelope(command: Command, actor: str = "staff:teller", **more: Any) -> Envelope:
        return Envelope(
            command, Context(actor=actor, source="admin", approved_by=more.pop("approved_by", "")), **more
        )

    outcomes = execute(
        [
            envelope(Transfer(payers[0], payee, bank.money("4.00")), day_limit=limit),
            envelope(Deposit(payee, bank.money("50.00")), approved_by="staff:bob"),
            envelope(Deposit(payee, bank.money("50.00")), actor="staff:tom"),
            envelope(Withdraw(payee, bank.money("3.00"))),
            envelope(ReverseTransaction(undone.transaction_id)),
            envelope(Transfer(payers[1], payee, bank.money("3.01")), day_limit=limit),
            envelope(Transfer(payers[1], payee, bank.money("3.00")), day_limit=limit),
        ]
    )

    assert [isinstance(outcome, Executed) for outcome in outcomes] == [True, True, True, True, True, False, True]
    refusal = outcomes[5]
    assert isinstance(refusal, Refused)
    assert refusal.code is ErrorCode.PERMISSION_DENIED
    assert f"7.00 were moved on {payee}, this one is 3.01." in refusal.message
    assert (bank.balance(payers[1]), bank.balance(payee)) == (9700, 10400)


def test_what_was_counted_before_the_lock_is_not_counted_again(bank: Bank, teller: User) -> None:
    ann, context = bank.open(), Context(actor="staff:teller", source="admin")
    execute([Envelope(Deposit(ann, bank.money("4.00")), context)])
    limit = look_up([ann], "staff:teller", minor=1000)
    [outcome] = execute([Envelope(Deposit(ann, bank.money("6.00")), context, day_limit=limit)])
    assert isinstance(outcome, Executed)
    assert bank.balance(ann) == 1000


def test_an_account_that_is_not_there_yet_is_counted_from_nothing(bank: Bank) -> None:
    """It may be opened before the command's turn comes."""
    account_id = new_id()
    assert look_up([account_id], "staff:teller", minor=1000).moved == {account_id: Moved(0, 0)}
