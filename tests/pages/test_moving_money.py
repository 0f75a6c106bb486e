"""Deposits and transfers by staff, done and refused."""

from accounts.models import Account
from ops.models import AuditEntry
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.looks import in_the_dark, in_the_light, violations
from tests.pages.test_appearance import NARROW


def test_a_deposit_is_booked_and_links_to_its_transaction(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/change/")
    desk.click("Deposit")
    assert desk.says("Amount in EUR")
    desk.shot("deposit")

    desk.fill(amount="12.34", description="Coins", reason="Brought to the counter")
    desk.send()

    assert desk.says("Deposit: done. The balance is 22.34 EUR.")
    assert bank.balance(ann) == 2234
    desk.shot("deposit-done")
    desk.click("See the transaction")
    assert desk.says("Brought to the counter")
    assert desk.says("staff:teller")


def test_a_transfer_moves_money_between_two_accounts(bank: Bank, desk: Desk) -> None:
    ann, bob = bank.open("100.00"), bank.open("5.00", owner="Bob")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/transfer/")

    desk.fill(target_account_id=str(bob), amount="30", reason="Ann asked for it on the phone")
    desk.send()
    assert desk.says("Nothing is done yet.")
    assert bank.balance(bob) == 500
    desk.shot("transfer-confirm")
    desk.send()

    assert desk.says("Transfer: done. The balance is 70.00 EUR.")
    assert (bank.balance(ann), bank.balance(bob)) == (7000, 3500)


def test_a_transfer_is_changed_after_a_look_at_whom_it_would_go_to(bank: Bank, desk: Desk) -> None:
    """Without JavaScript, by the keyboard: what was typed is there again."""
    ann, bob, rob = bank.open("100.00"), bank.open(owner="Bob Brown"), bank.open(owner="Rob Brown")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/transfer/")
    desk.fill(target_account_id=str(rob), amount="30", reason="Ann asked for it on the phone")
    desk.send()
    assert desk.says("Rob Brown")
    found = violations(desk, within="#main")
    in_the_dark(desk)
    found += violations(desk, within="#main", only=["color-contrast"])
    desk.shot("transfer-confirm-dark")
    in_the_light(desk)
    desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not desk.is_wider_than_its_window()
    desk.shot("transfer-confirm-narrow")
    assert found == []

    desk.page.get_by_role("button", name="Change it").focus()
    desk.page.keyboard.press("Enter")
    assert desk.says("The id of the account that receives the money")
    assert desk.page.locator("[name=reason]").input_value() == "Ann asked for it on the phone"
    desk.fill(target_account_id=str(bob))
    desk.send()
    assert desk.says("Bob Brown")
    desk.send()

    assert desk.says("Transfer: done. The balance is 70.00 EUR.")
    assert (bank.balance(bob), bank.balance(rob)) == (3000, 0)


def test_a_transfer_beyond_what_is_available_is_refused_on_the_page(bank: Bank, desk: Desk) -> None:
    ann, bob = bank.open("10.00", overdraft="5.00"), bank.open(owner="Bob")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/transfer/")
    before = bank.footprint()

    desk.fill(target_account_id=str(bob), amount="15.01", reason="Ann asked for it")
    desk.send()

    assert desk.says("The account has not enough available balance.")
    assert desk.says("Available are 15.00 EUR.")
    assert desk.says("Nothing was done.")
    assert desk.page.locator("[name=amount]").input_value() == "15.01"
    assert bank.footprint() == before
    entry = AuditEntry.objects.get(action="transfer")
    assert (entry.outcome, entry.detail["code"]) == ("refused", "insufficient_funds")
    desk.shot("transfer-refused")


def test_an_account_is_opened_with_money_in_it(desk: Desk) -> None:
    desk.sign_in("teller")
    desk.go("/admin/accounts/account/")
    desk.click("Open an account")
    desk.shot("open")

    desk.fill(owner="Dora Dunn", opening_deposit="250.00", reason="New customer")
    desk.send()

    assert desk.says("Open an account: done. The balance is 250.00 EUR.")
    account = Account.objects.get()
    assert (account.owner, account.balance, account.custodian) == ("Dora Dunn", 25000, "bank")


def test_going_back_and_sending_the_form_again_has_no_second_effect(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/deposit/")
    desk.fill(amount="1.00", reason="Once only")
    form = desk.page.locator("[name=idempotency_key]").input_value()
    desk.send()
    desk.page.wait_for_url("**/change/")

    desk.go(f"/admin/accounts/account/{ann}/deposit/")
    desk.page.locator("[name=idempotency_key]").evaluate("(field, key) => field.value = key", form)
    desk.fill(amount="1.00", reason="Once only")
    desk.send()

    assert desk.says("Deposit: had been done before, and once only.")
    assert bank.balance(ann) == 1100


def test_who_may_not_do_it_sees_no_button_and_gets_no_form(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00")
    desk.sign_in("viewer")

    desk.go(f"/admin/accounts/account/{ann}/change/")
    assert desk.page.get_by_role("link", name="Deposit", exact=True).count() == 0

    desk.go(f"/admin/accounts/account/{ann}/deposit/")
    assert desk.says("Your role does not allow this")
    desk.shot("not-allowed")
    refused = [complaint for complaint in desk.complaints if "403" in complaint]
    assert len(refused) == 1
    desk.complaints.remove(refused[0])
