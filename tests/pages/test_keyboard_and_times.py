"""What the keyboard alone reaches, and moments in the zone of the reader's browser."""

from datetime import UTC
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser

from accounts.models import Account
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.looks import enter
from tests.pages.test_accounts import some_history
from tests.staff import make_staff

BERLIN = ZoneInfo("Europe/Berlin")
FOCUS = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    return {text: at.textContent.trim(), name: at.getAttribute('name') || '', outline: style.outlineStyle,
            width: parseFloat(style.outlineWidth), shadow: style.boxShadow, top: at.getBoundingClientRect().top};
}"""


def test_the_first_tab_offers_to_skip_the_side_bar(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    enter(desk, make_staff("viewer"))
    desk.go("/admin/accounts/account/")

    desk.page.keyboard.press("Tab")
    first = desk.page.evaluate(FOCUS)
    desk.page.keyboard.press("Enter")
    desk.page.keyboard.press("Tab")

    assert first["text"] == "Skip to the content"
    assert first["top"] >= 0, "it is seen while it has the focus"
    assert desk.page.evaluate("document.getElementById('content').contains(document.activeElement)")


def test_each_action_of_an_account_is_reached_by_tab_and_shows_its_focus(bank: Bank, desk: Desk) -> None:
    ann, _ = some_history(bank)
    enter(desk, make_staff("supervisor"))
    desk.go(f"/admin/accounts/account/{ann}/change/")
    wanted = set(desk.page.locator("#content :is(a, button)").all_inner_texts())

    desk.page.locator(".b-skip").focus()
    desk.page.keyboard.press("Enter")
    reached = []
    for _ in range(3 * len(wanted) + 60):
        desk.page.keyboard.press("Tab")
        if not desk.page.evaluate("document.getElementById('content').contains(document.activeElement)"):
            break
        reached.append(desk.page.evaluate(FOCUS))

    assert wanted - {each["text"] for each in reached} == set()
    assert [each["text"] for each in reached if each["outline"] == "none" or each["width"] < 2] == []


def test_moments_are_shown_in_the_browsers_zone_with_utc_on_hovering(
    bank: Bank, desk: Desk, browser: Browser
) -> None:
    ann, _ = some_history(bank)
    opened = Account.objects.get(pk=ann).opened_at
    enter(desk, make_staff("viewer"))
    context = browser.new_context(timezone_id="Europe/Berlin", storage_state=desk.page.context.storage_state())
    page = context.new_page()

    page.goto(f"{desk.server}/admin/accounts/account/{ann}/change/")

    shown = page.locator("dt:text-is('Opened') + dd time")
    assert shown.inner_text() == f"{opened.astimezone(BERLIN):%Y-%m-%d %H:%M:%S}"
    assert shown.get_attribute("title") == f"{opened.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    assert shown.get_attribute("datetime") == opened.isoformat()
    assert page.locator("#b-zone").inner_text() == (
        "Times are in your zone, Europe/Berlin. Point at one to see it in UTC."
    )
    page.goto(f"{desk.server}/admin/accounts/account/")
    assert page.locator("th:text-is('Opened')").count() == 1, "the heading says UTC no more"
    page.goto(f"{desk.server}/admin/accounts/account/{ann}/as-of/?version=1")
    heading = page.locator("#then-heading").inner_text()
    assert heading.endswith(f"{opened.astimezone(BERLIN):%H:%M:%S}"), "a sentence does not go on with UTC"
    context.close()


def test_times_are_in_the_zone_that_was_chosen_whatever_the_browser_says(
    bank: Bank, desk: Desk, browser: Browser
) -> None:
    ann, _ = some_history(bank)
    opened = Account.objects.get(pk=ann).opened_at
    enter(desk, make_staff("viewer"))
    context = browser.new_context(timezone_id="Europe/Berlin", storage_state=desk.page.context.storage_state())
    page = context.new_page()
    account = f"{desk.server}/admin/accounts/account/{ann}/change/"

    page.goto(f"{desk.server}/admin/my-sign-in/time-zone/")
    page.get_by_label("Time zone").select_option("Asia/Kolkata")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Times are shown in Asia/Kolkata.").wait_for()
    page.screenshot(path="var/screenshots/time-zone.png")
    page.goto(account)

    shown = page.locator("dt:text-is('Opened') + dd time")
    assert shown.inner_text() == f"{opened.astimezone(ZoneInfo('Asia/Kolkata')):%Y-%m-%d %H:%M:%S}"
    assert shown.get_attribute("title") == f"{opened.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    assert "Times are in your zone, Asia/Kolkata." in page.locator("#b-zone").inner_text()

    page.goto(f"{desk.server}/admin/my-sign-in/time-zone/")
    page.get_by_label("Time zone").select_option("UTC")
    page.get_by_role("button", name="Save").click()
    page.goto(account)
    assert page.locator("dt:text-is('Opened (UTC)')").count() == 1, "as it was sent"
    context.close()


def test_a_moment_that_comes_later_is_shown_alike(bank: Bank, desk: Desk, browser: Browser) -> None:
    ann, _ = some_history(bank)
    enter(desk, make_staff("viewer"))
    context = browser.new_context(timezone_id="Europe/Berlin", storage_state=desk.page.context.storage_state())
    page = context.new_page()
    page.goto(f"{desk.server}/admin/accounts/account/{ann}/change/")

    page.evaluate(
        """document.getElementById('content').insertAdjacentHTML('beforeend',
            '<p id="late"><time datetime="2026-01-31T23:30:00+00:00">2026-01-31 23:30:00</time></p>')"""
    )

    page.locator("#late time[data-zone]").wait_for()
    assert page.locator("#late").inner_text() == "2026-02-01 00:30:00"
    context.close()


def test_in_utc_and_for_days_nothing_is_rewritten(bank: Bank, desk: Desk, browser: Browser) -> None:
    ann, _ = some_history(bank)
    enter(desk, make_staff("viewer"))
    storage = desk.page.context.storage_state()
    address = f"{desk.server}/admin/accounts/account/{ann}/change/"

    in_utc = browser.new_context(timezone_id="UTC", storage_state=storage).new_page()
    in_utc.goto(address)
    in_berlin = browser.new_context(timezone_id="Europe/Berlin", storage_state=storage).new_page()
    in_berlin.goto(address)

    assert in_utc.locator("dt:text-is('Opened (UTC)')").count() == 1
    assert in_utc.locator("#b-zone").count() == 0
    days = [page.locator("td[data-label='Value date'] time").all_inner_texts() for page in (in_utc, in_berlin)]
    assert days[0] == days[1] != []
    in_utc.context.close()
    in_berlin.context.close()


def test_an_account_travels_in_time_and_explains_itself_at_a_browser(bank: Bank, desk: Desk) -> None:
    ann, _ = some_history(bank)
    enter(desk, make_staff("supervisor"))
    desk.go(f"/admin/accounts/account/{ann}/change/")
    desk.shot("account")

    desk.click("As of a moment")
    desk.fill(version="2")
    desk.click("Show", role="button")
    assert desk.page.get_by_role("row", name="Ledger balance").locator("td").all_inner_texts() == [
        "1200.00 EUR",
        "914.50 EUR",
        "-285.50 EUR",
    ]
    desk.shot("account-as-of")
    desk.click("Why it was so")
    assert desk.page.locator("tbody tr").count() == 2
    desk.click("Why this balance")
    desk.shot("account-fold")
    desk.click("Proof")
    desk.click("Check all links")
    assert desk.says("All 8 links hold")
    desk.shot("account-proof")


def test_a_list_is_exported_at_a_browser(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    enter(desk, make_staff("auditor"))
    desk.go("/admin/accounts/account/?status=frozen")

    desk.click("Export as CSV")
    assert desk.page.locator("dt:text-is('Rows') + dd").inner_text() == "1"
    desk.shot("export")
    with desk.page.expect_download() as downloading:
        desk.click("Download the file", role="button")

    assert downloading.value.suggested_filename.startswith("account-")
    content = downloading.value.path().read_text(encoding="utf-8-sig")
    assert content.splitlines()[1].startswith("Bob Baker,")
