"""Emergency procedures at a browser: looked at, previewed, confirmed; in light, in dark and on a narrow screen."""

import psycopg

from accounts.models import Transaction
from ops.conf import get_settings
from ops.jobs import running
from ops.models import Approval, Job, Resolution
from tests.bank import Bank
from tests.ops.admin.dialog import decide
from tests.ops.commands.test_terminate_transactions import lives
from tests.ops.detectors.conftest import in_hand
from tests.pages.conftest import Desk
from tests.pages.test_accounts import some_history
from tests.pages.test_appearance import NARROW, brightness
from tests.processes import wait_until
from tests.staff import make_staff, signed_in

PAGE = "/admin/ops/operationsaccess/"


def test_somebody_who_blocks_others_is_seen_and_ended(bank: Bank, desk: Desk) -> None:
    desk.sign_in("operator")
    url = get_settings().database_url.get_secret_value()
    with psycopg.connect(url, application_name="bankes:worker") as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(4711)")
        pid = blocker.info.backend_pid
        with in_hand("SELECT pg_advisory_xact_lock(4711)", timeout=30):
            wait_until(lambda: _shows(desk, "command Slow, waits"))
            desk.shot("operations")
            _looks_right_in_the_dark_and_narrow(desk)

            desk.go(PAGE)
            desk.page.locator(f"a[href$='/end-session/{pid}/']").first.click()
            desk.page.locator("select[name=how]").select_option("terminate")
            desk.fill(reason="It blocks the transfers")
            desk.send()
            assert desk.says("This would be done")
            desk.shot("operations-preview")
            assert not Resolution.objects.exists()
            desk.send()
            assert desk.says("somebody else who may has to approve it")
            desk.shot("operations-asked")
            assert lives(blocker)
            decide(signed_in(make_staff("supervisor")), Approval.objects.get())
        assert not lives(blocker)
    assert Resolution.objects.get().actor == "staff:operator"
    desk.page.reload()
    assert desk.says(f"Session {pid}: done.")
    desk.go(PAGE)
    assert desk.says("Nobody waits for a lock.")


def _shows(desk: Desk, text: str) -> bool:
    desk.go(PAGE)
    return desk.page.get_by_text(text).count() > 0


def _looks_right_in_the_dark_and_narrow(desk: Desk) -> None:
    desk.page.emulate_media(color_scheme="dark")
    desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    desk.go(PAGE)
    desk.page.wait_for_selector("html.dark")
    assert brightness(desk, ".b-card") < 60
    assert not desk.is_wider_than_its_window()
    desk.shot("operations-dark-narrow")
    desk.page.emulate_media(color_scheme="light")
    desk.page.set_viewport_size({"width": 1280, "height": 900})


def test_an_account_is_replayed_from_its_own_page(bank: Bank, desk: Desk) -> None:
    ann, _ = some_history(bank)
    before = list(Transaction.objects.order_by("position").values())
    Transaction.objects.filter(account_id=ann).update(description="wrong")
    desk.sign_in("supervisor")
    desk.go(f"/admin/accounts/account/{ann}/change/")
    desk.shot("account-repairs")

    desk.click("Replay into the read models")
    desk.fill(from_version="1", reason="The statement shows nonsense")
    desk.send()
    assert desk.says("rows are wrong")
    desk.send()
    assert desk.says("Waiting for a worker")
    assert running.run(Job.objects.get().pk)

    assert desk.says("rows were mended")
    assert list(Transaction.objects.order_by("position").values()) == before
