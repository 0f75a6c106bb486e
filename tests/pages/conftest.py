"""A real Chromium against a real server. Every page is watched: an error in its console fails the test."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, TimeoutError, sync_playwright

from tests.pages.server import VAR, running_server
from tests.parts import program
from tests.staff import make_staff, signed_in

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
]
SCREENSHOTS = VAR / "screenshots"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.page)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium-browser") or program("chromium", "chromium")
    # Playwright keeps an event loop in this thread, and Django would take every query here for an async one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
            yield chromium
            chromium.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    VAR.mkdir(exist_ok=True)
    with running_server() as url:
        yield url


@dataclass
class Desk:
    """A member of staff at a browser."""

    page: Page
    server: str
    complaints: list[str] = field(default_factory=list)
    """What the browser's console said is wrong."""

    def sign_in(self, role: str) -> None:
        """Makes a member of staff with this role, and opens the overview as them."""
        self.enter(make_staff(role))

    def enter(self, user: User) -> None:
        self.take_seat(user)
        self.go("/admin/")

    def take_seat(self, user: User) -> None:
        """Signed in, by a session that is there already: `test_sign_in` goes the whole way."""
        cookie = signed_in(user).cookies[settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.server}])

    def fill_in_sign_in(self, name: str, password: str) -> None:
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def fill_in_code(self, code: str) -> None:
        self.page.get_by_label("Code").fill(code)
        self.page.locator("form button[type=submit]").click()

    def go(self, path: str, **more: Any) -> None:
        self.page.goto(f"{self.server}{path}", **more)

    def path(self) -> str:
        return self.page.url.removeprefix(self.server)

    def says(self, text: str) -> bool:
        """Whether the text can be seen on the page, within a moment."""
        try:
            self.page.get_by_text(text).first.wait_for(state="visible", timeout=5_000)
        except TimeoutError:
            return False
        return True

    def click(self, name: str, role: str = "link") -> None:
        self.page.locator("#main").get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]

    def fill(self, **fields: str) -> None:
        """Fills in the form's fields, by their names."""
        for name, value in fields.items():
            self.page.locator(f"[name={name}]").fill(value)

    def send(self) -> None:
        """By the form's first button, which does what the page is for."""
        self.page.locator("#main form[method=post] button[type=submit]").first.click()

    def shot(self, name: str, *, full: bool = True) -> Path:
        self.page.wait_for_load_state("load")
        self.page.evaluate("() => document.fonts.ready.then(() => null)")
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=full)
        return path

    def is_wider_than_its_window(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@pytest.fixture
def desk(db: None, browser: Browser, server: str) -> Iterator[Desk]:
    with desk_at(browser, server) as desk:
        yield desk
    assert desk.complaints == [], "the browser complained"


@contextmanager
def desk_at(browser: Browser, server: str, *, color_scheme: Any = "light") -> Iterator[Desk]:
    viewport: Any = {"width": 1280, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme=color_scheme, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(15_000)
    desk = Desk(page, server)
    page.on("console", desk.hear)
    page.on("pageerror", lambda error: desk.complaints.append(f"exception: {error}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))"
    )
    yield desk
    context.close()
