"""WCAG 2.2 AA by axe-core on every page, in light and in dark, and a narrow screen: nothing serious or critical."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User

from accounts.domain.commands import Deposit
from accounts.models import Transaction
from eventstore.models import Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.admin.lists import KeysetAdmin
from ops.models import ApiClient, AuditEntry
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.looks import enter, in_the_dark, in_the_light, violations
from tests.pages.test_accounts import some_history
from tests.pages.test_appearance import NARROW
from tests.staff import make_superuser


@dataclass
class Scene:
    """A bank with a little of everything in it."""

    ann: UUID
    transaction: UUID
    user: User


@pytest.fixture
def scene(bank: Bank, desk: Desk) -> Scene:
    ann, _ = some_history(bank)
    user = make_superuser()
    enter(desk, user)
    for _ in range(30):
        bank.deposit(ann, "1.00")
    bank.do(Deposit(ann, bank.money("1.00")), key="k")
    catch_up(registered())
    ApiClient.objects.create(name="acme")
    transaction = Transaction.objects.filter(account_id=ann).latest("version").transaction_id
    return Scene(ann, transaction, user)


def lists(scene: Scene) -> list[str]:
    registry = admin.site._registry
    return ["", *(f"{m._meta.app_label}/{m._meta.model_name}/" for m in registry)]


def account(scene: Scene) -> list[str]:
    base = f"accounts/account/{scene.ann}"
    commands = ("deposit", "transfer", "change-overdraft-limit", "freeze", "close", "verify-chain")
    pages = ("change", "statement", "as-of", "as-of/?version=3", "fold", "chain/?all=1", *commands)
    return [f"{base}/{page}" if "?" in page else f"{base}/{page}/" for page in pages]


def rows(scene: Scene) -> list[str]:
    event, entry = Event.objects.latest("position"), AuditEntry.objects.create(actor="x", action="y", subject="z")
    stream = f"eventstore/stream/{scene.ann}"
    return [
        f"accounts/transaction/of/{scene.transaction}/",
        f"accounts/transaction/of/{scene.transaction}/reverse/",
        f"eventstore/event/{event.pk}/change/",
        f"{stream}/change/",
        f"{stream}/replay/",
        f"{stream}/recover/",
        f"ops/auditentry/{entry.pk}/change/",
        "accounts/account/?search=nobody",
        "eventstore/idempotencyrecord/?scope=acme&key=nonsense",
        "eventstore/idempotencyrecord/record/?scope=test&key=k",
        "accounts/account/?status=nonsense",
        "accounts/account/export/",
        "nonsense/",
    ]


def forms(scene: Scene) -> list[str]:
    return [
        "accounts/account/open/",
        "ops/apiclient/add/",
        "ops/apikey/issue/",
        "auth/user/add/",
        f"auth/user/{scene.user.pk}/change/",
        f"auth/user/{scene.user.pk}/password/",
        f"auth/group/{Group.objects.earliest('pk').pk}/change/",
        "password_change/",
        "my-sign-in/time-zone/",
        "auth/user/export/",
        "ops/operationsaccess/end-transactions/",
        "ops/operationsaccess/clean-up/",
        f"ops/cacheaccess/?key={scene.ann}",
        "ops/cacheaccess/account/warm/",
        "ops/cacheaccess/account/evict/?on=all",
    ]


@pytest.mark.timeout(300)  # some twenty pages, each looked at three times
@pytest.mark.parametrize("pages", [lists, account, rows, forms], ids=lambda pages: pages.__name__)
def test_axe_finds_nothing_serious_in_light_or_dark_and_nothing_is_cut_off(
    scene: Scene, desk: Desk, pages: Callable[[Scene], list[str]]
) -> None:
    found: list[str] = []
    for page in pages(scene):
        desk.go(f"/admin/{page}")
        has_frame = desk.page.locator("#main").count()  # pages of errors have none, nor a theme to choose
        within = "#main" if has_frame and page != "" else "html"  # the frame is the same on all of them
        found += violations(desk, within=within)
        if has_frame:
            in_the_dark(desk)
            found += violations(desk, within=within, only=["color-contrast"])
            in_the_light(desk)
        desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        if desk.is_wider_than_its_window():
            found.append(f"{page}: wider than 360 pixels")
        if page.endswith("/change/") or page in ("", "accounts/account/"):
            desk.shot(f"narrow-{page.split('/')[1] if page else 'overview'}", full=False)
        desk.page.set_viewport_size({"width": 1280, "height": 900})
    if pages is rows:
        desk.complaints[:] = [told for told in desk.complaints if "404" not in told]  # one of them is not there

    assert found == [], "\n".join(found)


def test_axe_finds_nothing_serious_at_the_sign_in(desk: Desk) -> None:
    found = []
    for scheme in ("light", "dark"):
        desk.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        desk.go("/admin/login/")
        found += violations(desk)

    assert found == [], "\n".join(found)


def test_every_list_is_among_the_pages(scene: Scene) -> None:
    """A list that is made by and by is looked at without being named here."""
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, KeysetAdmin):
            assert f"{model._meta.app_label}/{model._meta.model_name}/" in lists(scene)
