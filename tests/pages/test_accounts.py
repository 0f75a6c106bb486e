"""The account list and the page of an account."""

from uuid import UUID

from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from tests.bank import Bank
from tests.pages.conftest import Desk


def some_history(bank: Bank) -> tuple[UUID, UUID]:
    """Two accounts with a little of everything."""
    ann, bob = bank.open("1200.00", owner="Ann Archer", overdraft="500.00"), bank.open("80.00", owner="Bob Baker")
    bank.withdraw(ann, "35.50")
    bank.transfer(ann, bob, "250.00")
    bank.limit(ann, "750.00")
    mistake = bank.deposit(ann, "999.99")
    bank.reverse(mistake.transaction_id)
    bank.hold(ann, "120.00")
    bank.freeze(bob)
    catch_up(registered())
    return ann, bob


def test_the_list_shows_balances_with_their_decimals_to_the_right(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    Bank(currency="JPY").open("5000", owner="Chiyo")
    desk.sign_in("viewer")

    desk.go("/admin/accounts/account/")

    row = desk.page.get_by_role("row", name="Ann Archer")
    cells = row.locator("td.num").all_inner_texts()
    assert cells == ["914.50 EUR", "1544.50 EUR"]
    assert desk.page.get_by_role("row", name="Chiyo").locator("td.num").first.inner_text() == "5000 JPY"
    assert row.locator("td.num").first.evaluate("cell => getComputedStyle(cell).textAlign") == "right"
    desk.shot("account-list")


def test_an_empty_list_says_what_to_do(desk: Desk) -> None:
    desk.sign_in("teller")

    desk.go("/admin/accounts/account/")

    assert desk.says("Open the first account")
    assert desk.page.get_by_role("link", name="Open an account").is_visible()
    desk.shot("account-list-empty")


def test_the_owner_is_found_by_the_beginning_of_the_name(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    desk.sign_in("viewer")
    desk.go("/admin/accounts/account/")

    desk.fill(search="ann")
    desk.click("Filter", role="button")

    assert desk.page.locator("tbody tr").count() == 1
    assert desk.says("Ann Archer")


def test_an_account_shows_its_state_and_its_history(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    desk.sign_in("supervisor")
    desk.go("/admin/accounts/account/")

    desk.click("Ann Archer")

    titles = desk.page.locator(".b-timeline-title > span:first-child").all_inner_texts()
    assert titles == [
        "Hold placed",
        "Reversal",
        "Deposit",
        "Overdraft limit changed",
        "Transfer sent",
        "Withdrawal",
        "Deposit",
        "Account opened",
    ]
    buttons = desk.page.get_by_role("group", name="Commands").get_by_role("link").all_inner_texts()
    assert buttons == ["Deposit", "Withdraw", "Transfer", "Place a hold", "Change overdraft limit", "Freeze", "Close"]
    assert desk.says("914.50")
    desk.shot("account")


def test_a_frozen_account_offers_what_fits_and_no_more(bank: Bank, desk: Desk) -> None:
    _, bob = some_history(bank)
    desk.sign_in("supervisor")

    desk.go(f"/admin/accounts/account/{bob}/change/")

    buttons = desk.page.get_by_role("group", name="Commands").get_by_role("link").all_inner_texts()
    assert buttons == ["Change overdraft limit", "Unfreeze"]


def test_event_stream_account_and_transaction_lead_to_each_other(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    desk.sign_in("operator")
    desk.go("/admin/accounts/account/")
    desk.click("Ann Archer")

    desk.click("Transfer sent")

    assert desk.says("TransferSent")
    assert desk.page.locator(".b-json").first.inner_text().startswith('{\n  "amount": -25000')
    desk.shot("event")
    desk.page.locator("dt:text-is('Transaction') + dd a").click()
    assert desk.says("Journal")
    assert desk.page.get_by_role("row", name="Transfer received").is_visible()
    desk.shot("transaction")
    desk.click("Transfer received")
    desk.page.locator("dt:text-is('Account') + dd a").click()
    assert desk.says("Bob Baker")
    desk.page.locator("dt:text-is('Version') + dd a").click()
    assert desk.page.locator("tbody tr").count() == 4
    desk.shot("event-list")
