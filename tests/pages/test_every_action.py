"""Each page and each action of the admin in a real Chromium, in light and in dark, as each role: what a role may do
is shown and done through its form; what it may not do is neither shown nor possible by a request made by hand."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.urls import Resolver404, resolve
from playwright.sync_api import Browser, ElementHandle, Error, Locator

from accounts.roles import ROLES
from ops.jobs import running
from ops.models import Job
from tests.accounts.admin.test_every_route import everything
from tests.bank import Bank
from tests.conftest import empty_books
from tests.pages.actions import ASKED, WAITS, Action, Way, all_actions
from tests.pages.conftest import Desk, desk_at
from tests.pages.places import Scene, places, scene
from tests.pages.things import Offer, Stage
from tests.routes import routes
from tests.staff import make_staff, make_superuser

ADMINISTRATOR = "administrator"
DRIVEN_IN = {"operator": "light", "supervisor": "dark", "teller": "light", "auditor": "light", "viewer": "dark"}
"""What two roles may is driven as both of them, in light and in dark; what one alone may, as that one in either."""
NO_ACTION = re.compile(
    r"(jsi18n|app_list|.*_history|.*_delete|.*_state|accounts_transaction_change|"
    r"eventstore_idempotencyrecord_change|password_change_done|"  # they lead on to another page
    r"log(in|out)|second_factor|second_factor_qr|"
    r"recovery_codes.*|enrol.*|renew_recovery_codes|end_own_session|)"  # test_sign_in, test_own_sign_in
)
CONTROLS = """async () => {
    const seen = element => element.checkVisibility({checkVisibilityCSS: true});
    const sent = () => [...document.querySelectorAll('button, input')].filter(
        each => each.type === 'submit' && each.form?.method === 'post' && seen(each)).map(each => each.form);
    const shown = () => [
        ...[...document.querySelectorAll('a[href]')].filter(seen).map(a => a.href),
        ...[...document.querySelectorAll('[formaction]')].filter(seen).map(each => each.formAction),
        ...sent().map(form => 'form ' + form.action),
    ];
    const brightness = () => {
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.fillStyle = getComputedStyle(document.getElementById('main')).backgroundColor;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
        return (r + g + b) / 3;
    };
    const look = async dark => {
        document.documentElement.classList.toggle('dark', dark);
        await Promise.all(document.getAnimations().map(each => each.finished.catch(() => null)));
        return {brightness: brightness(), shown: shown()};
    };
    return {dark: await look(true), light: await look(false)};
}"""


@dataclass
class Office:
    """A bank, a member of staff for each role, and a desk for each of them and each scheme of colours."""

    bank: Bank
    scene: Scene
    staff: dict[str, User]
    another: User
    seat: Callable[[User, str], Desk]
    _desks: dict[tuple[str, str], Desk] = field(default_factory=dict)

    def desk(self, role: str, scheme: str = "light") -> Desk:
        if (role, scheme) not in self._desks:
            self._desks[role, scheme] = self.seat(self.staff[role], scheme)
        return self._desks[role, scheme]

    def may(self, role: str, permissions: tuple[str, ...]) -> bool:
        return self.staff[role].has_perms(permissions)

    def stage(self, role: str, cleanup: ExitStack) -> Stage:
        return Stage(self.bank, self.staff[role], self.another, cleanup)


@pytest.fixture(scope="module")
def office(
    django_db_setup: None, django_db_blocker: Any, sweep: Callable[[], None], browser: Browser, server: str
) -> Iterator[Office]:
    with empty_books(django_db_blocker, sweep), ExitStack() as cleanup:

        def seat(user: User, scheme: str) -> Desk:
            desk = cleanup.enter_context(desk_at(browser, server, color_scheme=scheme))
            desk.page.set_default_timeout(8_000)
            desk.take_seat(user)
            return desk

        staff = {role: make_staff(role) for role in sorted(ROLES)} | {ADMINISTRATOR: make_superuser()}
        another = make_staff("supervisor", name="another")
        bank = Bank()
        yield Office(bank, scene(Stage(bank, another, another, cleanup)), staff, another, seat)


ACTIONS = {action.name: action for action in all_actions()}
ROUTES = {action.route for action in ACTIONS.values()}


def route_of(control: str) -> str:
    """The action that a control leads to; "" for what only leads to a page."""
    is_form, address = control.startswith("form "), control.removeprefix("form ")
    try:
        name = resolve(re.sub(r"^https?://[^/]+|[?#].*$", "", address)).url_name or ""
    except Resolver404:
        return ""
    if name.endswith("_change") and not is_form:
        return ""  # a link to a row; its form is what changes it
    return name if name in ROUTES else ""


def test_each_address_of_the_admin_is_a_page_or_an_action(office: Office) -> None:
    """One that comes by and by is in one of the tables, or this fails."""
    assert len(ACTIONS) == len(all_actions()), "each has a name of its own"
    known = ROUTES | {place.route for place in places(office.scene)}

    unknown = {name for _, name in routes("admin/") if name not in known and not NO_ACTION.fullmatch(name)}

    assert unknown == set()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_page_offers_what_the_role_may_do_in_light_and_in_dark(office: Office, role: str) -> None:
    desk, needed = office.desk(role), {action.route: action.permissions for action in ACTIONS.values()}
    seen, hidden = [], []
    for place in places(office.scene):
        (seen if office.may(role, place.permissions) else hidden).append(place)
    wrong: dict[str, object] = {}
    connections.close_all()  # of the test itself: the page of operations would offer to end it, as one held too long
    for place in seen:
        desk.go(place.path, wait_until="domcontentloaded")
        assert desk.page.locator("h1").inner_text().strip(), place.path
        wanted = {route for route in place.offers if office.may(role, needed[route])}
        looked = desk.page.evaluate(CONTROLS)
        for scheme, told in looked.items():
            offered = {route_of(control) for control in told["shown"]} - {""}
            if offered != wanted or (told["brightness"] < 60) is not (scheme == "dark"):
                wrong[f"{place.path} {scheme}"] = (offered, wanted, told["brightness"])
    assert wrong == {}
    entries = set(desk.page.locator("#nav-sidebar-apps a").evaluate_all("all => all.map(a => a.pathname)"))
    lists = {place.path for place in seen if place.route.endswith("_changelist")}
    assert lists <= entries
    assert not {place.path for place in hidden} & entries
    refused = {place.path: desk.page.request.get(f"{desk.server}{place.path}").status for place in hidden}
    assert {path: status for path, status in refused.items() if status != 403} == {}
    assert desk.complaints == []


@pytest.mark.parametrize("role", sorted(ROLES))
def test_what_a_role_may_not_do_is_refused_to_a_request_made_by_hand(
    office: Office, sweeper: psycopg.Connection, role: str
) -> None:
    """With the token of its own session against forgeries, and all that the form would have sent."""
    desk = office.desk(role)
    desk.go("/admin/", wait_until="domcontentloaded")
    token = desk.page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    lacking = [action for action in ACTIONS.values() if not office.may(role, action.permissions)]
    assert lacking, "every role lacks something"
    with ExitStack() as cleanup:
        stage = office.stage(role, cleanup)
        offers = {
            action.name: Offer("", action.stand_in) if action.stand_in else action.make(stage) for action in lacking
        }
        before = everything(sweeper)

        answers = {}
        for action in lacking:
            offer = offers[action.name]
            sent = {
                "reason": "I want to",
                "idempotency_key": str(uuid4()),
                "csrfmiddlewaretoken": token,
                **action.fields,
                **offer.fields,
                **offer.hidden,
            }
            for form in (sent, {**sent, "confirmed": "x"}):
                address = f"{desk.server}{offer.url}"
                answer = desk.page.request.post(address, form=form, max_redirects=0)
                answers[action.name, "confirmed" in form] = answer.status

        own = {name for name, _ in answers if ACTIONS[name].own and office.may(role, ("ops.view_approval",))}
        wrong = {which: status for which, status in answers.items() if status != (302 if which[0] in own else 403)}
        assert wrong == {}
        assert everything(sweeper) == before


def drives() -> Iterator[Any]:
    """Role and scheme, with the names of what is done so."""
    of_roles = {
        role: {action.name for action in ACTIONS.values() if {*action.permissions} <= permissions}
        for role, permissions in ROLES.items()
    }
    everybodys = [name for names in of_roles.values() for name in names]
    for role, names in sorted(of_roles.items()):
        alone = {name for name in names if everybodys.count(name) == 1}
        for scheme in ("light", "dark"):
            if done := sorted(names if DRIVEN_IN[role] == scheme else alone):
                yield pytest.param(role, scheme, done, id=f"{role}-{scheme}")
    nobodys = sorted(set(ACTIONS) - {*everybodys})
    for scheme in ("light", "dark"):
        yield pytest.param(ADMINISTRATOR, scheme, nobodys, id=f"{ADMINISTRATOR}-{scheme}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("role", "scheme", "names"), list(drives()))
def test_each_action_is_done_through_its_form(office: Office, role: str, scheme: str, names: list[str]) -> None:
    desk, wrong = office.desk(role, scheme), []
    for action in (ACTIONS[name] for name in names):
        with ExitStack() as cleanup:
            offer = action.make(office.stage(role, cleanup))
            try:
                told = do(desk, action, offer, scheme)
            except (AssertionError, Error) as error:
                told = str(error)
            if told:
                wrong.append(f"{action.name} on {desk.path()}: {told}")
    assert wrong == []
    assert desk.complaints == []


def do(desk: Desk, action: Action, offer: Offer, scheme: str) -> str:
    """The way of a person from the page to the end; "", or what is missing there."""
    if action.way is Way.FILE:
        return a_file_comes(desk, offer, scheme)
    desk.go(offer.page, wait_until="domcontentloaded")
    if offer.pick:
        desk.page.locator(f"input.b-pick[value='{offer.pick}']").check()
    if action.way is not Way.HERE:
        control(desk, offer.url).click()
        desk.page.wait_for_url(f"**{offer.url.partition('?')[0]}**", wait_until="domcontentloaded")
    fill(desk, {"reason": f"A test of {action.name}", **action.fields, **offer.fields})
    assert is_in(desk, scheme)
    press(desk, action).click()
    if action.way is Way.DIALOG:
        if not desk.says("This would be done"):
            return "a preview"
        desk.send()
    return ended(desk, action) if desk.says(action.then) else action.then


def control(desk: Desk, url: str) -> ElementHandle:
    """What leads there: a link, or a button for what is selected."""
    found = desk.page.evaluate_handle(
        "url => [...document.querySelectorAll('#main a, #main [formaction]')]"
        ".find(each => [each.href, each.formAction].includes(url))",
        f"{desk.server}{url}",
    ).as_element()
    assert found is not None, f"nothing leads to {url}"
    return found


def press(desk: Desk, action: Action) -> Locator:
    if action.press:
        return desk.page.locator("#main").get_by_role("button", name=action.press, exact=True).first
    return desk.page.locator("#main :is(form[method=post] [type=submit], [name=_save])").first


def fill(desk: Desk, fields: Mapping[str, str]) -> None:
    """Those that the form has; "" is something new."""
    for name, value in fields.items():
        found = desk.page.locator(f"#main [name={name}]")
        kind = found.first.evaluate("field => field.type") if found.count() else ""
        if kind.startswith("select"):
            found.select_option(value)
        elif kind == "checkbox":
            desk.page.locator(f"#main [name={name}][value='{value}']").check()
        elif kind:
            found.fill(value or uuid4().hex)


def ended(desk: Desk, action: Action) -> str:
    """A job is done by a worker; what waits for a second person is taken back."""
    if action.then == WAITS:
        job = Job.objects.get(ended_at=None, state="queued", reason=f"A test of {action.name}")
        desk.page.goto("about:blank")  # the job's page reloads itself in the end: not in the next one's way
        running.run(job.pk)
        job.refresh_from_db()
        return "" if job.state == "done" else f"a job that is done, in place of {job.state}: {job.error}"
    if action.then == ASKED:
        desk.click("Withdraw", role="button")
        return "" if desk.says("It is withdrawn") else "withdrawn"
    return ""


def is_in(desk: Desk, scheme: str) -> bool:
    return desk.page.locator("html.dark").count() == (scheme == "dark")


def a_file_comes(desk: Desk, offer: Offer, scheme: str) -> str:
    """From the page that says what it will hold. (That its list leads there is looked at with the other pages.)"""
    desk.go(offer.url, wait_until="domcontentloaded")
    assert is_in(desk, scheme)
    with desk.page.expect_download() as download:
        desk.click("Download the file", role="button")
    return "" if download.value.path().read_text("utf-8-sig").count("\n") > 1 else "rows in the file"
