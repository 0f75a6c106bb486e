"""Incidents and resolutions: read by technical staff, altered by nobody."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ops.models import Incident, Resolution
from tests.ops.admin.dialog import page_text
from tests.staff import make_staff, signed_in

INCIDENTS, RESOLUTIONS = "/admin/ops/incident/", "/admin/ops/resolution/"


@pytest.fixture
def found(db: None) -> tuple[Incident, Incident]:
    now = timezone.now()
    times = {"began_at": now - timedelta(seconds=90), "last_seen_at": now}
    return (
        Incident.objects.create(
            kind="blocking", subject="backend 7", reason="Session 7 <keeps> 2 others.", detail={"n": 1}, **times
        ),
        Incident.objects.create(
            kind="stuck_operation", subject="x", reason="Past it.", ended_at=now, resolution="cancel: done", **times
        ),
    )


@pytest.mark.parametrize("role", ["operator", "supervisor", "auditor"])
def test_incidents_are_listed_with_what_was_done_about_them(found: tuple[Incident, Incident], role: str) -> None:
    browser = signed_in(make_staff(role))
    text = browser.get(INCIDENTS).content.decode()
    assert "Session 7 &lt;keeps&gt; 2 others." in text
    assert "cancel: done" in text
    assert "90 s" in text
    page = browser.get(f"{INCIDENTS}{found[0].pk}/change/").content.decode()
    assert "&quot;n&quot;: 1" in page


def test_open_ones_are_told_from_those_that_ended(found: tuple[Incident, Incident]) -> None:
    browser = signed_in(make_staff("auditor"))
    for state, there, gone in (("open", "Session 7", "Past it."), ("ended", "Past it.", "Session 7")):
        text = page_text(browser.get(f"{INCIDENTS}?state={state}"))
        assert there in text
        assert gone not in text


def test_resolutions_are_listed_with_who_and_why(db: None) -> None:
    row = Resolution.objects.create(
        action="terminate", outcome="refused", actor="staff:ann", reason="it <stood> still", pid=7, detail={"f": True}
    )
    browser = signed_in(make_staff("auditor"))
    for path in (RESOLUTIONS, f"{RESOLUTIONS}{row.pk}/change/"):
        text = browser.get(path).content.decode()
        assert "it &lt;stood&gt; still" in text
        assert "Refused by PostgreSQL" in text
        assert "staff:ann" in text


@pytest.mark.parametrize("role", ["viewer", "teller"])
def test_others_see_neither(found: tuple[Incident, Incident], role: str) -> None:
    browser = signed_in(make_staff(role))
    assert [browser.get(path).status_code for path in (INCIDENTS, RESOLUTIONS)] == [403, 403]


def test_nobody_alters_one(found: tuple[Incident, Incident]) -> None:
    before = list(Incident.objects.order_by("id").values())
    browser = signed_in(make_staff("supervisor"))
    for path, status in (
        (INCIDENTS, 405),
        (f"{INCIDENTS}{found[0].pk}/change/", 405),
        (f"{INCIDENTS}{found[0].pk}/delete/", 404),
        (f"{INCIDENTS}add/", 404),
        (RESOLUTIONS, 405),
    ):
        assert browser.post(path, {"reason": "x", "kind": "x"}).status_code == status
    assert list(Incident.objects.order_by("id").values()) == before
