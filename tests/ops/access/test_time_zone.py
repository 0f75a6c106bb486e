"""The time zone that a member of staff chooses."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.roles import ROLES
from ops.models import AuditEntry, Preference
from tests.staff import make_staff, signed_in

PAGE = "/admin/my-sign-in/time-zone/"
META = '<meta name="bank-time-zone" content="Asia/Tokyo">'


@pytest.mark.parametrize("role", sorted(ROLES))
def test_everybody_chooses_their_own_and_it_is_on_every_page(db: None, role: str) -> None:
    client, other = signed_in(make_staff(role)), signed_in(make_staff(role, name="other"))

    answer = client.post(PAGE, {"time_zone": "Asia/Tokyo"})

    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    for path in ("/admin/", PAGE, "/admin/accounts/account/"):
        assert META in client.get(path).content.decode()
    assert "bank-time-zone" not in other.get("/admin/").content.decode()
    entry = AuditEntry.objects.get(action="choose_time_zone")
    assert (entry.actor, entry.detail) == (f"staff:{role}", {"from": "", "to": "Asia/Tokyo"})


def test_it_holds_in_other_browsers_and_can_be_given_back_to_the_browser(tina: User) -> None:
    here, there = signed_in(tina), signed_in(tina)
    here.post(PAGE, {"time_zone": "Asia/Tokyo"})
    assert META in there.get("/admin/").content.decode()

    there.post(PAGE, {"time_zone": ""})

    assert "bank-time-zone" not in here.get("/admin/").content.decode()


@pytest.mark.parametrize("zone", ["Nowhere/Land", "posix/Asia/Tokyo", "../etc/passwd", "Asia/Tokyo\x00", "x" * 5000])
def test_what_is_no_zone_is_refused_and_changes_nothing(tina: User, zone: str) -> None:
    client = signed_in(tina)
    client.post(PAGE, {"time_zone": "Asia/Tokyo"})

    answer: Any = client.post(PAGE, {"time_zone": zone})

    assert answer.status_code == 200
    assert "time_zone" in answer.context["form"].errors
    assert Preference.objects.get().time_zone == "Asia/Tokyo"


def test_it_costs_no_query(tina: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/admin/accounts/account/").status_code == 200
        return len(captured)

    client = signed_in(tina)
    queries()
    before = queries()
    client.post(PAGE, {"time_zone": "Asia/Tokyo"})
    queries()

    assert queries() == before


def test_who_is_not_signed_in_is_sent_to_the_sign_in(db: None) -> None:
    answer = Client().post(PAGE, {"time_zone": "Asia/Tokyo"})

    assert answer.headers["Location"].startswith("/admin/login/")
    assert not Preference.objects.exists()
