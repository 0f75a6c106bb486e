"""Every page that the side bar leads to, opened once: nothing in the console, nothing against the policy."""

from bankes.navigation import GROUPS
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.test_accounts import some_history
from tests.staff import make_staff, make_superuser


def test_every_page_of_the_side_bar_opens_without_a_complaint(bank: Bank, desk: Desk) -> None:
    some_history(bank)
    desk.enter(make_superuser())
    desk.page.wait_for_url("**/admin/")
    paths = desk.page.locator("#nav-sidebar-apps a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len(paths) == 2 + sum(len(entries) for _, entries in GROUPS)

    for path in (path for path in paths if path.startswith("/admin/")):
        desk.go(path)
        desk.page.wait_for_load_state("networkidle")
        assert desk.page.locator("h1").inner_text().strip()
        desk.shot(f"page-{path.removeprefix('/admin/').strip('/').replace('/', '-') or 'overview'}", full=False)


def test_the_forms_of_staff_and_clients_open_without_a_complaint(desk: Desk) -> None:
    user = make_staff("teller")
    desk.enter(make_superuser())

    for path in (
        "auth/user/add/",
        f"auth/user/{user.pk}/change/",
        f"auth/user/{user.pk}/password/",
        f"auth/group/{user.groups.get().pk}/change/",
        "ops/apiclient/add/",
        "password_change/",
    ):
        desk.go(f"/admin/{path}")
        desk.page.wait_for_load_state("networkidle")
        assert desk.page.locator("#main form[method=post]").count() >= 1
        desk.shot(f"form-{path.strip('/').replace('/', '-').replace(str(user.pk), 'x')}")
