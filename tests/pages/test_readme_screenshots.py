"""The pictures in the README: the demo bank on a working day, with a trouble or two to look at.

`make screenshots` takes them anew and puts them into docs/screenshots. Look at each before you commit it.
"""

import math
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Account
from accounts.verification import verify
from eventstore.models import DeadLetter, Event
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.detectors import blocked
from ops.detectors.monitor import Monitor
from ops.models import Approval, Sample
from ops.trends.sampling import EVERY, SHOWN
from tests.accounts.admin.forms import send
from tests.bank import Bank
from tests.ops.admin.dialog import asked
from tests.pages.conftest import Desk
from tests.pages.server import ROOT
from tests.pages.test_appearance import NARROW
from tests.pages.troubles import PatientDeposit, a_session_that_holds, poison
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

PICTURES = ROOT / "docs" / "screenshots"
WINDOW = {"width": 1360, "height": 850}
MOST_BYTES = 200_000
"""Of one picture: a README is read over slow lines too."""


@pytest.fixture
def demo(bank: Bank) -> Bank:
    """Six weeks of history, and a morning's figures for the charts."""
    call_command("create_demo_bank", verbosity=0)
    for account in Account.objects.filter(currency="EUR", status="open").order_by("pk")[:3]:
        bank.deposit(account.pk, "120.00")
    catch_up(registered())
    a_morning()
    verify()
    Monitor().look()
    return bank


def a_morning() -> None:
    """What the monitor would have noted each minute of the hours that the charts show."""
    now, events = timezone.now(), Event.objects.latest("position").position
    minutes = int(SHOWN.total_seconds() / EVERY)
    for ago in range(1, minutes):  # back in time
        rush = 1 + math.sin(4 - ago / minutes * 9)
        events -= round(10 + 20 * rush)
        figures = {
            "events": events,
            "operations_in_hand": round(3 * rush),
            "pool_utilization": round(0.05 + 0.1 * rush, 4),
            "read_model_lag": round(0.02 + 0.02 * rush, 4),
        }
        at = now - timedelta(seconds=EVERY * ago)
        Sample.objects.bulk_create(Sample(at=at, name=name, value=value) for name, value in figures.items())


def an_account() -> Account:
    account = (
        Account.objects.filter(currency="EUR", status="open", overdraft_limit__gt=0).order_by("-version").first()
    )
    assert account is not None
    return account


def take(desk: Desk, name: str) -> None:
    """A picture of what the window shows; where pictures are wanted, it goes to the README's."""
    picture: Path = desk.shot(f"readme-{name}", full=False)
    assert picture.stat().st_size < MOST_BYTES, f"{name}: {picture.stat().st_size} bytes"
    if os.environ.get("README_SCREENSHOTS"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, PICTURES / f"{name}.png")


def test_the_main_pages_make_small_pictures(demo: Bank, desk: Desk) -> None:
    page, account = desk.page, an_account()
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    desk.sign_in("supervisor")
    assert page.locator("#live svg").count() == 4
    take(desk, "overview")
    desk.go(f"/admin/accounts/account/{account.pk}/change/")
    assert page.locator(".b-timeline li").count() == 20
    take(desk, "account")

    alice = signed_in(make_staff("supervisor", name="alice"))
    asked(
        send(
            alice,
            f"/admin/accounts/account/{account.pk}/change-overdraft-limit/",
            limit="1500.00",
            reason="Her salary comes late",
        )
    )
    desk.go(f"/admin/ops/approval/{Approval.objects.get().pk}/change/")
    assert desk.says("Approve and carry out")
    take(desk, "approval")

    poison(demo, account.pk, "19.90", "4.50")
    desk.go(f"/admin/eventstore/deadletter/{DeadLetter.objects.get(state='failed').pk}/change/")
    assert desk.says("duplicate key")
    take(desk, "dead-letter")

    with a_session_that_holds(account.pk):
        waiting = PatientDeposit(demo, account.pk)
        wait_until(lambda: any(entry["blocked_by"] for entry in blocked()))
        desk.go("/admin/ops/operationsaccess/")
        assert desk.says("command Deposit, waits")
        take(desk, "operations")
    waiting.thread.join(10)
    catch_up(registered())

    page.emulate_media(color_scheme="dark")
    desk.go(f"/admin/accounts/account/{account.pk}/as-of/?version={account.version - 5}")
    page.wait_for_selector("html.dark")
    take(desk, "time-travel-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    desk.go("/admin/")
    take(desk, "overview-narrow")
