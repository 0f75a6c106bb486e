"""The pages of the cache, of Kafka and of the breakers, and cancelling an operation, at a browser."""

from collections.abc import Iterator

import pytest
from django_redis import get_redis_connection

from accounts import cache
from accounts.cache import accounts_cache, popularity
from ops.jobs import running
from ops.models import Job, Resolution
from tests.bank import Bank
from tests.ops.detectors.conftest import in_hand
from tests.pages.conftest import Desk
from tests.pages.test_appearance import NARROW, brightness

CACHE, BREAKERS = "/admin/ops/cacheaccess/", "/admin/ops/breakersaccess/"
KAFKA, OPERATIONS = "/admin/eventstore/kafkaaccess/", "/admin/ops/operationsaccess/"


@pytest.fixture(autouse=True)
def cold(db: None) -> Iterator[None]:
    accounts_cache().clear_local()
    popularity().flush()
    client = get_redis_connection("tiered")
    if left := [*client.scan_iter(match="account*")]:
        client.delete(*left)
    yield
    accounts_cache().clear_local()


def looks_right_in_the_dark_and_narrow(desk: Desk, path: str, name: str) -> None:
    desk.go(path)
    desk.shot(name)
    desk.page.emulate_media(color_scheme="dark")
    desk.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    desk.go(path)
    desk.page.wait_for_selector("html.dark")
    assert brightness(desk, ".b-card") < 60
    assert not desk.is_wider_than_its_window(), path
    desk.shot(f"{name}-dark-narrow")
    desk.page.emulate_media(color_scheme="light")
    desk.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_difference_in_the_cache_is_seen_evicted_and_warmed_again(bank: Bank, desk: Desk) -> None:
    ann = bank.open("10.00", owner="Ann Cached")
    cache.account(ann, at_least=1)
    popularity().flush()
    bank.deposit(ann, "1.00")
    desk.sign_in("operator")
    desk.go("/admin/")
    desk.page.locator("#live a", has_text="Cache").click()
    assert desk.path() == CACHE
    desk.page.locator(f"a[href='?key={ann}']").click()
    assert desk.says("1 behind")
    assert desk.says("11.00 EUR")
    looks_right_in_the_dark_and_narrow(desk, f"{CACHE}?key={ann}", "cache-key")

    desk.go(CACHE)
    desk.page.locator(f"input.b-pick[value='{ann}']").check()
    desk.click("Evict", role="button")
    desk.fill(reason="It is old")
    desk.send()
    assert desk.says(f"{ann}: version 2 in Redis")
    assert get_redis_connection("tiered").get(f"account:{ann}") == b"2"
    desk.send()
    assert desk.says(f"{ann}: evicted.")
    desk.go(f"{CACHE}?key={ann}")
    assert desk.says("not cached")

    desk.go(CACHE)
    desk.click("Warm")
    desk.fill(limit="10", reason="Before the salaries")
    desk.send()
    assert desk.says("At most 10 documents are read")
    desk.send()
    assert running.run(Job.objects.get(action="warm_cache").pk)
    assert desk.says("1 accounts were stored")
    desk.go(f"{CACHE}?key={ann}")
    assert desk.says("the same")
    looks_right_in_the_dark_and_narrow(desk, CACHE, "cache")


def test_an_operation_is_cancelled_from_its_row(bank: Bank, desk: Desk) -> None:
    desk.sign_in("operator")
    with in_hand("SELECT pg_sleep(20)", timeout=30) as slow:
        desk.go(OPERATIONS)
        row = desk.page.locator("tr", has_text="command Slow").filter(has_text=str(slow.pid))
        row.get_by_role("link", name="Stop").click()
        desk.fill(reason="It blocks the transfers")
        desk.send()
        assert desk.says("It works for command Slow of client:slow.")
        desk.shot("cancel-operation-preview")
        assert not Resolution.objects.exists()
        desk.send()
        assert desk.says("The operation has ended.")
        slow.thread.join(5)
    assert Resolution.objects.get().actor == "staff:operator"


def test_breakers_and_kafka_are_one_click_from_the_overview(bank: Bank, desk: Desk) -> None:
    desk.sign_in("auditor")
    for tile, path, said in (("Timeouts", BREAKERS, "Limits of time in force"), ("Relay and Kafka", KAFKA, "Kafka")):
        desk.go("/admin/")
        desk.page.locator("#live a", has_text=tile).first.click()
        assert desk.path() == path
        assert desk.says(said)
        name = path.split("/")[-2]
        looks_right_in_the_dark_and_narrow(desk, path, name)
