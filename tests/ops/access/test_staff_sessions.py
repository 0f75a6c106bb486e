"""Sessions of staff: how long they last, and who ends them."""

import re
import time

from django.contrib.auth.models import User
from django.test import Client

from ops.models import StaffSession
from ops.signin import factor
from tests.authenticator import Authenticator, enrolled
from tests.ops.access.signing_in import is_in
from tests.staff import PASSWORD, make_staff, signed_in


def age(client: Client, **seconds: int) -> None:
    session = client.session
    for name, ago in seconds.items():
        session[name] = time.time() - ago
    session.save()


def test_a_session_ends_when_nothing_was_done(tina: User) -> None:
    client = signed_in(tina)
    age(client, seen_at=901)

    answer = client.get("/admin/", follow=True)

    assert "15 minutes in which nothing was done" in answer.content.decode()
    assert not StaffSession.objects.filter(user=tina).exists()


def test_a_session_ends_after_its_lifetime_whatever_is_done(tina: User) -> None:
    client = signed_in(tina)
    age(client, signed_in_at=28_801)

    assert not is_in(client)


def test_a_page_that_refreshes_itself_keeps_no_session_alive(tina: User) -> None:
    client = signed_in(tina)
    age(client, seen_at=600)

    client.get("/admin/", headers={"Sec-Fetch-Mode": "cors"})
    assert client.session["seen_at"] < time.time() - 590
    client.get("/admin/", headers={"Sec-Fetch-Mode": "navigate"})

    assert client.session["seen_at"] > time.time() - 10


def test_a_session_that_was_never_begun_by_the_sign_in_is_none(tina: User) -> None:
    client = Client()
    client.force_login(tina)

    assert not is_in(client)


def test_changing_the_password_signs_out_everywhere_else(tina: User) -> None:
    here, there = signed_in(tina), signed_in(tina)
    new = {"new_password1": "quite another passphrase", "new_password2": "quite another passphrase"}

    here.post("/admin/password_change/", {"old_password": PASSWORD, **new})

    assert is_in(here)
    assert not is_in(there)
    assert StaffSession.objects.filter(user=tina).count() == 1


def test_one_sees_and_ends_the_own_sessions_and_nobody_elses(tina: User) -> None:
    here, there = signed_in(tina), signed_in(tina)
    stranger = signed_in(make_staff("viewer"))
    places = here.get("/admin/my-sign-in/").context["places"]
    assert sorted(place.is_this for place in places) == [False, True]
    (other,) = [place for place in places if not place.is_this]
    keys = {row.session_key for row in StaffSession.objects.all()}
    assert not keys & set(re.findall(r"\w+", here.get("/admin/my-sign-in/").content.decode()))

    stranger.post("/admin/my-sign-in/end/", {"place": other.id})
    assert is_in(there)
    here.post("/admin/my-sign-in/end/", {"place": other.id})

    assert not is_in(there)
    assert is_in(here)
    assert is_in(stranger)


def test_ending_all_others_leaves_this_one(tina: User) -> None:
    here, *others = (signed_in(tina) for _ in range(3))

    here.post("/admin/my-sign-in/end/")

    assert is_in(here)
    assert not any(is_in(other) for other in others)


def test_another_app_takes_the_place_of_the_old_one(tina: User) -> None:
    old, old_codes = enrolled(tina)
    here, there = signed_in(tina), signed_in(tina)
    new = Authenticator.of_text(here.get("/admin/my-sign-in/app/").context["secret"])

    here.post("/admin/my-sign-in/app/", {"code": new.code()})

    assert factor.check(tina, old.code()) is None
    assert factor.check(tina, old_codes[0]) is None
    assert factor.check(tina, new.code()) == "code"
    assert is_in(here)
    assert not is_in(there)


def test_new_recovery_codes_end_the_old_ones(tina: User) -> None:
    _, old = enrolled(tina)
    here = signed_in(tina)
    assert here.get("/admin/my-sign-in/recovery-codes/").status_code == 405

    (first, *_) = here.post("/admin/my-sign-in/recovery-codes/").context["codes"]

    assert factor.check(tina, old[0]) is None
    assert factor.check(tina, first) == "recovery code"
