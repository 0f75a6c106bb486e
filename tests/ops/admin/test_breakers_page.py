"""The page of breakers and timeouts: what is left alone, since when, and by which limits calls are ended."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import timezone

from ops.board import facts
from ops.breaker import CircuitBreaker
from ops.models import Incident
from ops.timeouts import record
from tests.bank import Bank
from tests.configured import configured
from tests.ops.admin.dialog import page_text
from tests.staff import make_staff, signed_in

PAGE = "/admin/ops/breakersaccess/"


@pytest.fixture
def auditor(bank: Bank) -> Client:
    return signed_in(make_staff("auditor"))


@pytest.fixture
def breaker() -> Iterator[CircuitBreaker]:
    """Opens at the second failure within a minute."""
    made = CircuitBreaker("a-page-test", on=(OSError,), probe=lambda: None, failures=2, window=60, pause=30)
    yield made
    del made
    facts.tell()


def fail(breaker: CircuitBreaker) -> None:
    def down() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        breaker.call(down)
    facts.tell()


def cells(text: str, section: str, first: str) -> list[str]:
    """The row of a section's table that begins with `first`."""
    body = text.split(f'aria-label="{section}"')[1].split("</section>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)]
    [found] = [
        row for row in ([re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows) if row[0] == first
    ]
    return found


def test_a_breaker_is_shown_with_its_failures_and_since_when_it_is_open(
    auditor: Client, breaker: CircuitBreaker
) -> None:
    began = timezone.now()
    fail(breaker)
    row = cells(page_text(auditor.get(PAGE)), "Breakers", "a-page-test")
    assert row[2] == "Closed: calls pass"
    assert row[4:] == ["1 in 60 s, opens at 2", "30 s", "0"]

    fail(breaker)
    text = page_text(auditor.get(PAGE))
    row = cells(text, "Breakers", "a-page-test")
    assert row[2] == "Open: left alone"
    assert row[3] >= f"{began:%Y-%m-%d %H:%M:%S}"
    assert row[4:] == ["2 in 60 s, opens at 2", "30 s", "1"]
    assert "not closed. Each closes by itself" in text


def test_timeouts_are_a_rate_of_the_calls_beside_the_limit_and_where_it_comes_from(auditor: Client) -> None:
    before = cells(page_text(auditor.get(PAGE)), "Timeouts", "Batch")
    record("batch", "timeout", 1.0)
    record("batch", "ok", 0.1)
    with configured(batch_processing_timeout=77):
        after = cells(page_text(auditor.get(PAGE)), "Timeouts", "Batch")
        limits = cells(page_text(auditor.get(PAGE)), "Limits of time", "BATCH_PROCESSING_TIMEOUT")

    assert (int(after[1]) - int(before[1]), int(after[2]) - int(before[2])) == (2, 1)
    assert after[4] == f"{int(after[2]) / int(after[1]):.1%}"
    assert after[5:] == ["77 s", "BATCH_PROCESSING_TIMEOUT", "set"]
    assert (limits[1], limits[3]) == ("77 s", "set")
    assert cells(page_text(auditor.get(PAGE)), "Limits of time", "BATCH_PROCESSING_TIMEOUT")[3] == "default"


def test_deadlocks_on_record_are_listed_and_lead_to_the_list_of_them(auditor: Client) -> None:
    assert "The monitor has recorded none" in page_text(auditor.get(PAGE))
    now = timezone.now()
    for kind, reason in (("deadlocks", "7 deadlocks in 300 s."), ("blocking", "Somebody waits.")):
        Incident.objects.create(kind=kind, subject="x", reason=reason, began_at=now, last_seen_at=now)
    text = page_text(auditor.get(PAGE))
    assert "7 deadlocks in 300 s." in text
    assert "Somebody waits." not in text

    [url] = re.findall(r'href="([^"]+\?kind=deadlocks)"', text)
    found = page_text(auditor.get(url))
    assert "7 deadlocks in 300 s." in found
    assert "Somebody waits." not in found


def test_the_overview_s_tiles_lead_here_and_to_the_cache(auditor: Client) -> None:
    text = page_text(auditor.get("/admin/"))
    tiles = dict(
        re.findall(r'href="([^"]+)" class="b-card b-pad b-figure-card">\s*<span class="b-figure-name">([^<]+)', text)
    )
    assert tiles[PAGE] == "Timeouts"
    assert "/admin/ops/cacheaccess/" in tiles
    assert "/admin/eventstore/kafkaaccess/" in tiles


@pytest.mark.parametrize("role", ["viewer", "teller"])
def test_others_do_not_see_the_page(db: None, role: str) -> None:
    assert signed_in(make_staff(role)).get(PAGE).status_code == 403


def test_the_page_takes_no_orders(auditor: Client) -> None:
    assert auditor.post(PAGE).status_code == 405
