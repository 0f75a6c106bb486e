"""Signing in once more before a sensitive action."""

import time

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client

from ops.access import fresh
from ops.models import SecondFactor
from tests.authenticator import enrolled
from tests.staff import PASSWORD, make_superuser, sign_in, signed_in


@pytest.fixture
def stale(tina: User) -> Client:
    """A session whose last proof is eleven minutes old."""
    client = signed_in(tina)
    session = client.session
    session["proved_at"] = time.time() - 660
    session.save()
    return client


def test_a_wrong_password_or_code_does_nothing(tina: User, stale: Client) -> None:
    app, _ = enrolled(tina)
    url = "/admin/my-sign-in/recovery-codes/"
    before = SecondFactor.objects.get().recovery_digests
    assert "Is it still you?" in stale.post(url).content.decode()

    again = {"reauthenticate": "POST", "password": "wrong", "code": app.code()}
    assert "The password is wrong" in stale.post(url, again).content.decode()
    again = {"reauthenticate": "POST", "password": PASSWORD, "code": "000000"}
    assert "The code is wrong" in stale.post(url, again).content.decode()
    again = {"reauthenticate": "POST", "password": PASSWORD}
    assert "This field is required" in stale.post(url, again).content.decode()

    assert SecondFactor.objects.get().recovery_digests == before


def test_the_mark_alone_is_no_proof(tina: User, stale: Client) -> None:
    assert "Is it still you?" in stale.post("/admin/my-sign-in/app/", {"reauthenticate": "GET"}).content.decode()


def test_of_the_page_that_asks_for_a_proof_nothing_but_what_was_sent_before_goes_on() -> None:
    """The view that it comes to may have fields of these names."""
    sent = QueryDict("reauthenticate=POST&password=secret&code=123456&kept.code=EUR&kept.of=1&kept.of=2")
    kept = fresh._kept(sent)
    assert kept is not None
    assert dict(kept.lists()) == {"code": ["EUR"], "of": ["1", "2"]}


def test_what_was_sent_goes_on_after_the_proof_but_no_password_is_sent_back(db: None) -> None:
    root = make_superuser()
    app, _ = enrolled(root)
    client = Client()
    sign_in(client, root)
    session = client.session
    session["proved_at"] = 0
    session.save()
    typed = {"username": "new", "password1": "a secret to keep", "reason": "Starts on Monday"}

    page = client.post("/admin/auth/user/add/", typed)

    text = page.content.decode()
    assert "no-store" in page["Cache-Control"], "what was typed is not for a browser's or a proxy's store"
    assert 'name="kept.username" value="new"' in text
    assert 'name="kept.reason" value="Starts on Monday"' in text
    assert "a secret to keep" not in text
    kept = dict(page.context["carried"])
    again = {"reauthenticate": "POST", "password": PASSWORD, "code": app.code(), **kept}
    form = client.post("/admin/auth/user/add/", again)
    assert 'value="new"' in form.content.decode()
    assert not User.objects.filter(username="new").exists()
