"""Each role's own way in, in light and in dark: the first sign-in, all that its own page offers, and out."""

import pytest
from playwright.sync_api import Browser

from accounts.roles import ROLES
from ops.models import AuditEntry
from tests.authenticator import Authenticator
from tests.pages.conftest import Desk, desk_at
from tests.staff import PASSWORD, make_staff, signed_in


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_signs_in_tends_its_own_sign_in_and_signs_in_again(
    db: None, browser: Browser, server: str, role: str, scheme: str
) -> None:
    user = make_staff(role)
    with desk_at(browser, server, color_scheme=scheme) as desk:

        def arrives(*path: str, saying: str) -> Desk:
            assert desk.says(saying)
            assert desk.path() in path
            assert desk.page.locator("html.dark").count() == (scheme == "dark")
            return desk

        desk.go("/admin/")
        arrives("/admin/login/?next=/admin/", saying="Log in").fill_in_sign_in(role, PASSWORD)
        arrives("/admin/second-factor/enrol/", saying="Code").fill_in_code(app_shown(desk).code())
        arrives("/admin/second-factor/enrol/", saying="They are shown this once")
        desk.page.get_by_role("link", name="I have kept them").click()
        arrives("/admin/", saying="Overview")

        signed_in(user)
        desk.go("/admin/my-sign-in/")
        arrives("/admin/my-sign-in/", saying="Recovery codes left: 10.").click("End", role="button")
        arrives("/admin/my-sign-in/", saying="That session was ended.")
        signed_in(user)
        desk.go("/admin/my-sign-in/")
        desk.click("End all others", role="button")
        arrives("/admin/my-sign-in/", saying="Sessions ended: 1.").click("New recovery codes", role="button")
        arrives("/admin/my-sign-in/recovery-codes/", saying="They are shown this once")

        desk.go("/admin/my-sign-in/")
        desk.click("Use another app")
        app = app_shown(arrives("/admin/my-sign-in/app/", saying="Confirm the new app"))
        desk.fill(code=app.code())
        desk.click("Confirm the new app", role="button")
        arrives("/admin/my-sign-in/app/", saying="They are shown this once")

        desk.page.evaluate("document.querySelector('#logout-form').submit()")
        desk.page.wait_for_url("**/admin/logout/")
        desk.go("/admin/")
        desk.fill_in_sign_in(role, PASSWORD)
        arrives("/admin/second-factor/", "/admin/second-factor/?next=/admin/", saying="Code").fill_in_code(app.code())
        arrives("/admin/", saying="Overview")

    assert desk.complaints == []
    assert list(AuditEntry.objects.order_by("id").values_list("action", "outcome")) == [
        (action, "done")
        for action in (
            "sign_in",
            "enrol_second_factor",
            "sign_in",
            "end_own_session",
            "sign_in",
            "end_own_session",
            "renew_recovery_codes",
            "replace_second_factor",
            "sign_out",
            "sign_in",
        )
    ]


def app_shown(desk: Desk) -> Authenticator:
    """An authenticator app that has read the secret on the page."""
    return Authenticator.of_text(desk.page.locator(".b-secret").inner_text())
