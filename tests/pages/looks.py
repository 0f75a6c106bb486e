"""What a page is held to, whoever made it: axe finds nothing, it fits a narrow screen, the keyboard gets about."""

from functools import cache
from importlib.resources import files
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from tests.pages.conftest import Desk
from tests.staff import signed_in

STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""WCAG 2.2 AA, in axe's words."""
BAD = ("serious", "critical")


@cache
def axe() -> str:
    """The script of axe-core, as the pinned package carries it."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def enter(desk: Desk, user: User) -> None:
    """Somebody who has signed in a moment ago, without going through the forms."""
    cookie = signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value
    desk.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": desk.server}])


def violations(desk: Desk, *, only: list[str] | None = None, within: str = "html") -> list[str]:
    """What axe finds serious or critical on the page that is open: a line for each element. `only` names rules."""
    run_only: dict[str, Any] = {"type": "rule", "values": only} if only else {"type": "tag", "values": STANDARD}
    if not desk.page.evaluate("'axe' in window"):
        desk.page.evaluate(axe())
    found = desk.page.evaluate(
        "([within, options]) => axe.run(within, options)",
        [within, {"runOnly": run_only, "resultTypes": ["violations"]}],
    )
    return [
        f"{desk.path()}: {each['id']} ({each['impact']}) {node['target']}: {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in BAD
        for node in each["nodes"]
    ]


def in_the_dark(desk: Desk) -> None:
    """Turns the theme over without loading the page again. (That it follows the system is tested elsewhere.)"""
    _turn(desk, dark=True)


def in_the_light(desk: Desk) -> None:
    _turn(desk, dark=False)


def _turn(desk: Desk, *, dark: bool) -> None:
    desk.page.evaluate(
        """async dark => {
            document.documentElement.classList.toggle('dark', dark);
            await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => null)));
        }""",
        dark,
    )
