"""The picture in the README: an account of the demo bank, with its timeline.

To take it anew: README_SCREENSHOT=1 make test ARGS="tests/pages/test_readme_screenshot.py" writes docs/account.png.
"""

import os
import shutil

from django.core.management import call_command

from accounts.models import Account
from tests.pages.conftest import Desk
from tests.pages.server import ROOT

PICTURE = ROOT / "docs" / "account.png"


def test_an_account_of_the_demo_bank_makes_a_small_picture(desk: Desk) -> None:
    call_command("create_demo_bank", verbosity=0)
    account = (
        Account.objects.filter(currency="EUR", status="open", overdraft_limit__gt=0).order_by("-version").first()
    )
    assert account is not None
    desk.page.set_viewport_size({"width": 1320, "height": 880})
    desk.sign_in("supervisor")

    desk.go(f"/admin/accounts/account/{account.pk}/change/")

    assert desk.page.locator(".b-timeline li").count() == 20
    picture = desk.shot("readme-account", full=False)
    assert picture.stat().st_size < 200_000
    if os.environ.get("README_SCREENSHOT"):
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copy(picture, PICTURE)
