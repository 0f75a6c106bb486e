"""A transfer and a reversal are shown before they are done: whose accounts they move, and what each comes to."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.models import Account
from eventstore.models import Event
from ops.models import AuditEntry
from tests.accounts.admin.forms import confirms, errors, form_of, messages, shown
from tests.bank import Bank
from tests.ops.admin.dialog import page_text


def transfer(ann: UUID) -> str:
    return f"/admin/accounts/account/{ann}/transfer/"


def enter(teller: Client, ann: UUID, bob: UUID, **fields: str) -> Any:
    """The first of the two steps."""
    typed = {"target_account_id": str(bob), "amount": "30.00", "description": "Rent", "reason": "Ann rang"}
    return teller.post(transfer(ann), form_of(teller, transfer(ann)) | typed | fields)


def test_a_transfer_shows_the_payee_by_name_and_both_balances_before_anything_is_done(
    bank: Bank, teller: Client
) -> None:
    ann, bob = bank.open("100.00"), bank.open("5.00", owner="Bob Brown")
    before = bank.footprint()

    answer = enter(teller, ann, bob)

    text = page_text(answer)
    assert "Nothing is done yet." in text
    assert bank.footprint() == before
    assert not AuditEntry.objects.filter(action="transfer").exists()
    for told in ("Bob Brown", str(bob), str(ann), "-30.00", "70.00", "30.00", "35.00", "Rent", "Ann rang"):
        assert told in text, told

    done = teller.post(transfer(ann), shown(answer))

    assert done.headers["Location"] == f"/admin/accounts/account/{ann}/change/"
    assert (bank.balance(ann), bank.balance(bob)) == (7000, 3500)


def test_who_goes_back_finds_what_was_typed_and_nothing_done(bank: Bank, teller: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    before = bank.footprint()

    answer: Any = teller.post(transfer(ann), shown(enter(teller, ann, bob)) | {"change": "1"})

    assert answer.status_code == 200
    assert not confirms(answer)
    form = answer.context["form"]
    assert form.errors == {}
    for name, typed in (("target_account_id", str(bob)), ("amount", "30.00"), ("description", "Rent")):
        assert form[name].value() == typed
    assert "Not done." not in page_text(answer)
    assert bank.footprint() == before


@pytest.mark.parametrize("changed", ["amount", "target_account_id", "description"])
def test_what_is_confirmed_is_what_was_shown(bank: Bank, teller: Client, changed: str) -> None:
    ann, bob, cid = bank.open("100.00"), bank.open(owner="Bob"), bank.open(owner="Cid")
    other = {"amount": "31.00", "target_account_id": str(cid), "description": "Wage"}
    before = bank.footprint()

    answer = teller.post(transfer(ann), shown(enter(teller, ann, bob)) | {changed: other[changed]})

    assert confirms(answer), "it is shown anew"
    assert bank.footprint() == before


def test_a_confirmation_that_is_sent_twice_moves_the_money_once(bank: Bank, teller: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    form = shown(enter(teller, ann, bob))

    answers = [teller.post(transfer(ann), form) for _ in range(2)]

    assert "had been done before, and once only" in messages(answers[1])[-1]
    assert (bank.balance(ann), bank.balance(bob)) == (7000, 3000)


def test_the_first_step_sent_again_after_all_is_answered_by_what_was_done(bank: Bank, teller: Client) -> None:
    """As by somebody who was told that the outcome is not known."""
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    answer = enter(teller, ann, bob)
    teller.post(transfer(ann), shown(answer))
    first = {name: value for name, value in shown(answer).items() if name != "confirmed"}

    again = teller.post(transfer(ann), first)

    assert again.status_code == 302
    assert "had been done before, and once only" in messages(again)[-1]
    assert (bank.balance(ann), bank.balance(bob)) == (7000, 3000)


def test_what_moved_on_the_account_between_the_look_and_the_confirmation_is_looked_at_again(
    bank: Bank, teller: Client
) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    form = shown(enter(teller, ann, bob))
    bank.withdraw(ann, "1.00")
    before = bank.footprint()

    answer = teller.post(transfer(ann), form)

    assert "Look at its new state, then decide anew." in errors(answer)["__all__"][0]
    assert bank.footprint() == before


def test_a_payee_that_was_frozen_meanwhile_is_named_and_gets_nothing(bank: Bank, teller: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob")
    form = shown(enter(teller, ann, bob))
    bank.freeze(bob)
    before = bank.footprint()

    answer = teller.post(transfer(ann), form)

    assert f"It is the account of Bob, {bob}." in errors(answer)["__all__"][0]
    assert bank.footprint() == before
    assert AuditEntry.objects.get(action="transfer").outcome == "refused"


def test_a_reversal_shows_what_both_accounts_come_to(bank: Bank, supervisor: Client) -> None:
    ann, bob = bank.open("100.00"), bank.open(owner="Bob Brown")
    paid = bank.transfer(ann, bob, "30.00").transaction_id
    url = f"/admin/accounts/transaction/of/{paid}/reverse/"
    before = bank.footprint()

    answer = supervisor.post(url, form_of(supervisor, url) | {"reason": "Paid twice"})

    text = page_text(answer)
    assert "Bob Brown" in text
    assert "-30.00" in text
    assert bank.footprint() == before
    supervisor.post(url, shown(answer))
    assert (bank.balance(ann), bank.balance(bob)) == (10000, 0)


def test_what_people_wrote_is_shown_as_text_before_it_is_done_and_kept_as_it_was(bank: Bank, teller: Client) -> None:
    evil = "<b>\"Rent\" & 'more'</b>"
    ann, bob = bank.open("100.00"), bank.open(owner=evil)

    answer = enter(teller, ann, bob, description=evil, reason=evil)
    assert evil not in answer.content.decode()
    teller.post(transfer(ann), shown(answer))

    sent = Event.objects.get(event_type="TransferSent")
    assert (sent.data["description"], sent.metadata["reason"]) == (evil, evil)
    assert Account.objects.get(pk=bob).owner == evil
