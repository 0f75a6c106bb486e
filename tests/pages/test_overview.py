"""The first page at a browser: is the bank well, and where to look when it is not."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Route

from eventstore.models import DeadLetter
from eventstore.projections import registered
from eventstore.projections.runner import catch_up
from ops.detectors.monitor import Monitor
from ops.models import Sample
from ops.trends import EVERY
from tests.bank import Bank
from tests.pages.conftest import Desk
from tests.pages.test_appearance import NARROW


def test_it_says_how_the_bank_is_and_draws_the_last_hours(bank: Bank, desk: Desk) -> None:
    ann = bank.open("250.00")
    bank.withdraw(ann, "10.50")
    catch_up(registered())
    now = timezone.now()
    for name in ("events", "operations_in_hand", "pool_utilization", "read_model_lag"):
        for minute in range(30):
            at = now - timedelta(seconds=EVERY * (30 - minute))
            Sample.objects.create(at=at, name=name, value=minute * minute % 17)
    Monitor().look()

    desk.sign_in("supervisor")

    assert desk.says("Is the bank well?")
    assert desk.page.locator("#live svg").count() == 4
    assert desk.page.locator("#live svg + table, #live table").count() == 4, "each chart has its figures as text"
    assert desk.says("250.00"), "money in today"
    assert desk.says("10.50"), "money out"
    desk.shot("overview-light")
    desk.page.emulate_media(color_scheme="dark")
    desk.shot("overview-dark")
    desk.page.set_viewport_size(NARROW)
    desk.shot("overview-narrow")


def every_second(desk: Desk) -> None:
    """The page refreshes itself every second, in place of ten."""

    def hurried(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('data-every="10000"', 'data-every="1000"'))

    desk.page.route("**/admin/", hurried)


def test_it_refreshes_itself(bank: Bank, desk: Desk) -> None:
    now = timezone.now()
    every_second(desk)
    desk.sign_in("operator")
    tile = desk.page.locator("#live a", has_text="Dead letters")
    assert "healthy" in tile.inner_text()
    desk.page.evaluate("document.getElementById('live').dataset.mark = 'not reloaded'")

    DeadLetter.objects.create(
        state="failed", projection="journal", generation=1, position=1, attempts=1, error="planted", created_at=now
    )

    tile.get_by_text("degraded").wait_for(timeout=15_000)
    assert desk.page.locator("#live").get_attribute("data-mark") == "not reloaded"


def test_who_may_not_see_how_it_runs_sees_the_money_only(bank: Bank, desk: Desk) -> None:
    bank.open("5.00")
    catch_up(registered())
    Monitor().look()

    desk.sign_in("teller")

    assert desk.says("Money today")
    assert desk.page.locator("#live").count() == 0
    answer = desk.page.request.get(f"{desk.server}/admin/overview/state/")
    assert "Is the bank well" not in answer.text()
