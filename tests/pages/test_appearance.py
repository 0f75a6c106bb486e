"""Dark mode, labels, and forms without a mouse. (Narrow screens: test_accessibility.)"""

from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.test_accounts import some_history

NARROW = {"width": 360, "height": 740}


def brightness(desk: Desk, selector: str) -> float:
    """Of an element's background, 0 (black) to 255 (white), as Chromium paints it."""
    return float(
        desk.page.evaluate(
            """selector => {
                const canvas = document.createElement('canvas').getContext('2d');
                canvas.fillStyle = getComputedStyle(document.querySelector(selector)).backgroundColor;
                canvas.fillRect(0, 0, 1, 1);
                const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
                return (r + g + b) / 3;
            }""",
            selector,
        )
    )


def test_dark_mode_follows_the_system(bank: Bank, desk: Desk) -> None:
    ann, _ = some_history(bank)
    desk.sign_in("supervisor")
    desk.go(f"/admin/accounts/account/{ann}/change/")
    assert brightness(desk, ".b-card") > 200

    desk.page.emulate_media(color_scheme="dark")
    desk.page.reload()
    desk.page.wait_for_selector("html.dark")

    assert brightness(desk, ".b-card") < 60
    assert brightness(desk, "#main") < 60
    desk.shot("account-dark")
    desk.go(f"/admin/accounts/account/{ann}/transfer/")
    desk.shot("transfer-dark")


def test_every_field_of_a_form_has_a_label(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00")
    desk.sign_in("teller")

    desk.go(f"/admin/accounts/account/{ann}/transfer/")

    unlabelled = desk.page.evaluate(
        """[...document.querySelectorAll('#main input:not([type=hidden]), #main select, #main textarea')]
             .filter(field => field.labels.length === 0).map(field => field.name)"""
    )
    assert unlabelled == []


def test_the_keyboard_alone_sends_a_form(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00")
    desk.sign_in("teller")
    desk.go(f"/admin/accounts/account/{ann}/deposit/")

    desk.page.locator("[name=amount]").focus()
    desk.page.keyboard.type("2.00")
    for _ in range(3):
        desk.page.keyboard.press("Tab")
    desk.page.keyboard.type("By keyboard")
    desk.page.keyboard.press("Enter")

    assert desk.says("Deposit: done.")
    assert bank.balance(ann) == 1200
