"""Signing in to the admin."""

from ops.models import AuditEntry
from tests.pages.conftest import Desk
from tests.staff import PASSWORD, make_staff


def test_the_root_leads_to_the_sign_in(desk: Desk) -> None:
    desk.go("/")

    assert desk.path() == "/admin/login/?next=/admin/"
    desk.shot("sign-in")


def test_a_wrong_password_is_told_and_recorded_without_it(desk: Desk) -> None:
    make_staff("teller")
    desk.go("/admin/")

    desk.fill_in_sign_in("teller", "not the passphrase")

    assert desk.says("Please enter the correct username and password")
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


def test_the_right_password_opens_the_overview(desk: Desk) -> None:
    make_staff("teller")
    desk.go("/admin/")

    desk.fill_in_sign_in("teller", PASSWORD)

    assert desk.path() == "/admin/"
    assert desk.says("Overview")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.outcome) == ("staff:teller", "sign_in", "done")


def test_signing_out_is_recorded(desk: Desk) -> None:
    desk.sign_in("viewer")

    desk.page.evaluate("document.querySelector('#logout-form').submit()")
    desk.page.wait_for_url("**/admin/logout/")

    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["sign_in", "sign_out"]
