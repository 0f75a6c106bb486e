"""Signing in to the admin: password, authenticator app, and once more before sensitive actions."""

import time

from django.contrib.auth.models import User

from ops.models import AuditEntry, SecondFactor, StaffSession
from ops.signin.sessions import places
from tests.authenticator import Authenticator, enrolled
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.staff import PASSWORD, make_staff, signed_in


def actions() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("action", "outcome"))


def test_the_root_leads_to_the_sign_in(desk: Desk) -> None:
    desk.go("/")

    assert desk.path() == "/admin/login/?next=/admin/"
    desk.shot("sign-in")


def test_a_wrong_password_is_told_and_recorded_without_it(desk: Desk) -> None:
    make_staff("teller")
    desk.go("/admin/")

    desk.fill_in_sign_in("teller", "not the passphrase")

    assert desk.says("The user name or the password is wrong")
    assert desk.path().startswith("/admin/login/")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.outcome, entry.address) == (
        "anonymous",
        "sign_in",
        "refused",
        "127.0.0.1",
    )
    assert entry.subject == "staff:teller"
    assert "passphrase" not in f"{entry.reason}{entry.detail}"
    desk.shot("sign-in-refused")


def test_the_first_sign_in_leads_to_an_authenticator_app_and_recovery_codes(desk: Desk) -> None:
    make_staff("teller")
    desk.go("/admin/")
    desk.fill_in_sign_in("teller", PASSWORD)
    assert desk.path() == "/admin/second-factor/enrol/"
    assert desk.page.locator("img.b-qr").evaluate("picture => picture.naturalWidth") > 100
    desk.shot("enrol")

    app = Authenticator.of_text(desk.page.locator(".b-secret").inner_text())
    desk.fill_in_code("000000")
    assert desk.says("That is not the code that the app shows now")
    assert not SecondFactor.objects.exists()
    desk.fill_in_code(app.code())

    assert desk.says("They are shown this once")
    codes = desk.page.locator(".b-codes li").all_inner_texts()
    assert len(set(codes)) == 10
    desk.shot("recovery-codes")
    desk.page.get_by_role("link", name="I have kept them").click()
    assert desk.path() == "/admin/"
    assert desk.says("Overview")
    assert actions() == [("sign_in", "done"), ("enrol_second_factor", "done")]


def test_password_and_code_open_the_page_that_was_wanted(desk: Desk) -> None:
    app, _ = enrolled(make_staff("teller"))
    desk.go("/admin/accounts/account/")
    desk.fill_in_sign_in("teller", PASSWORD)
    assert desk.path() == "/admin/second-factor/"
    desk.go("/admin/accounts/account/")
    assert desk.path().startswith("/admin/login/"), "the password alone opens nothing"
    desk.fill_in_sign_in("teller", PASSWORD)
    desk.shot("code")

    desk.fill_in_code(app.same_code())
    assert desk.says("The code is wrong, or was used before")
    desk.fill_in_code(app.code())

    assert desk.path() == "/admin/accounts/account/"
    assert actions() == [("second_factor", "refused"), ("sign_in", "done")]


def test_signing_out_is_recorded(desk: Desk) -> None:
    desk.sign_in("viewer")

    desk.page.evaluate("document.querySelector('#logout-form').submit()")
    desk.page.wait_for_url("**/admin/logout/")

    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["sign_in", "sign_out"]


def grow_old(user: User) -> None:
    """The last proof of the person's sessions was an hour ago."""
    for row in StaffSession.objects.filter(user=user):
        store = row.get_session_store_class()(row.session_key)
        store["proved_at"] = time.time() - 3600
        store.save()


def test_a_sensitive_action_asks_again_and_keeps_what_was_typed(bank: Bank, desk: Desk) -> None:
    ann = bank.open()
    user = make_staff("supervisor")
    app, _ = enrolled(user)
    desk.enter(user)
    desk.go(f"/admin/accounts/account/{ann}/close/")
    grow_old(user)
    before = bank.footprint()

    desk.fill(reason="The customer asked for it")
    desk.send()

    assert desk.says("Is it still you?")
    assert bank.footprint() == before
    desk.shot("again")
    desk.page.get_by_label("Password").fill(PASSWORD)
    desk.page.get_by_label("Code").fill(app.code())
    desk.send()

    assert desk.says("Close: done.")
    assert AuditEntry.objects.get(action="close").reason == "The customer asked for it"


def test_my_sign_in_shows_where_and_ends_the_others(desk: Desk) -> None:
    user = make_staff("teller")
    enrolled(user)
    elsewhere = signed_in(user)
    desk.enter(user)
    desk.go("/admin/my-sign-in/")
    assert desk.says("Recovery codes left: 10.")
    assert desk.page.get_by_role("button", name="End", exact=True).count() == 1
    desk.shot("my-sign-in")

    desk.page.get_by_role("button", name="End", exact=True).click()

    assert desk.says("That session was ended.")
    assert elsewhere.get("/admin/").status_code == 302
    (left,) = places(user, elsewhere.session)
    assert not left.is_this


def test_my_sign_in_and_the_code_fit_a_narrow_dark_screen(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 360, "height": 740})
    desk.page.emulate_media(color_scheme="dark")
    make_staff("teller")
    desk.go("/admin/")
    desk.fill_in_sign_in("teller", PASSWORD)
    assert not desk.is_wider_than_its_window()
    desk.shot("narrow-enrol-dark")

    desk.fill_in_code(Authenticator.of_text(desk.page.locator(".b-secret").inner_text()).code())
    desk.page.get_by_role("link", name="I have kept them").click()
    desk.go("/admin/my-sign-in/")

    assert not desk.is_wider_than_its_window()
    desk.shot("narrow-my-sign-in-dark")
