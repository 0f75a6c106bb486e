"""The API's documentation page."""

from tests.authenticator import enrolled
from tests.pages.conftest import Desk
from tests.staff import PASSWORD, make_staff


def test_it_asks_to_sign_in_then_shows_every_operation_with_its_examples(desk: Desk) -> None:
    app, _ = enrolled(make_staff("viewer"))
    desk.go("/api/docs/")
    assert desk.path() == "/admin/login/?next=/api/docs/"

    desk.fill_in_sign_in("viewer", PASSWORD)
    desk.fill_in_code(app.code())

    desk.page.locator(".opblock").first.wait_for()
    assert desk.path() == "/api/docs/"
    assert desk.page.locator(".opblock").count() >= 16
    desk.page.get_by_text("/deposits").first.click()
    assert desk.says("Names the command: sent again with the same body")
    assert desk.says("Salary")
    desk.shot("api-docs", full=False)
