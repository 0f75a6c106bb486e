"""The second step of signing in: codes of an authenticator app, enrolment, recovery codes."""

import time

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from ops.models import AuditEntry, SecondFactor, SignInLock
from tests.authenticator import Authenticator, enrolled
from tests.configured import configured
from tests.ops.access.signing_in import CODE, ENROL, LOGIN, give_password, is_in


def test_the_password_alone_opens_nothing(tina: User, browser: Client) -> None:
    enrolled(tina)

    assert give_password(browser, "tina")["Location"] == CODE

    for path in ("/admin/", "/api/docs/", "/admin/my-sign-in/", "/admin/second-factor/qr.svg"):
        assert browser.get(path).status_code in (302, 404), path
    assert browser.get("/problems/").status_code in (401, 403)
    assert not AuditEntry.objects.filter(action="sign_in").exists()


def test_a_code_opens_once_and_the_session_gets_a_new_key(tina: User, browser: Client) -> None:
    app, _ = enrolled(tina)
    give_password(browser, "tina")
    before = browser.cookies[settings.SESSION_COOKIE_NAME].value

    assert browser.post(CODE, {"code": app.code()})["Location"] == "/admin/"

    assert is_in(browser)
    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != before
    other = Client()
    give_password(other, "tina")
    assert "was used before" in other.post(CODE, {"code": app.same_code()}).content.decode()
    assert not is_in(other)


def test_who_has_no_app_enrols_and_cannot_be_made_to_enrol_over_one(tina: User, browser: Client) -> None:
    assert give_password(browser, "tina")["Location"] == ENROL
    page = browser.get(ENROL)
    assert "no-store" in page["Cache-Control"]
    app = Authenticator.of_text(page.context["secret"])
    assert browser.get("/admin/second-factor/qr.svg")["Content-Type"] == "image/svg+xml"

    done = browser.post(ENROL, {"code": app.code()})

    assert len(done.context["codes"]) == 10
    assert is_in(browser)
    salt = bytes(SecondFactor.objects.get().salt)
    other = Client()
    give_password(other, "tina")
    assert other.get(ENROL)["Location"] == CODE
    other.post(ENROL, {"code": app.code()})
    assert bytes(SecondFactor.objects.get().salt) == salt


def test_the_database_holds_neither_the_secret_nor_a_recovery_code(tina: User) -> None:
    app, codes = enrolled(tina)
    row = str(SecondFactor.objects.values().get()) + bytes(SecondFactor.objects.get().salt).hex()

    assert app.secret.hex() not in row
    assert not any(code in row or code.replace("-", "") in row for code in codes)


def test_a_recovery_code_signs_in_once(tina: User, browser: Client) -> None:
    _, codes = enrolled(tina)
    give_password(browser, "tina")
    browser.post(CODE, {"code": codes[3].lower().replace("-", " ")})
    assert is_in(browser)
    assert AuditEntry.objects.filter(action="use_recovery_code").count() == 1

    other = Client()
    give_password(other, "tina")
    other.post(CODE, {"code": codes[3]})

    assert not is_in(other)
    assert len(SecondFactor.objects.get().recovery_digests) == 9


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "１２３４５６", "0" * 16, "1" * 400, "\x00"])
def test_what_is_no_code_opens_nothing(tina: User, browser: Client, code: str) -> None:
    enrolled(tina)
    give_password(browser, "tina")

    assert browser.post(CODE, {"code": code}).status_code == 200

    assert not is_in(browser)


def test_wrong_codes_have_to_wait_and_the_right_one_too(tina: User, browser: Client) -> None:
    app, _ = enrolled(tina)
    give_password(browser, "tina")
    for _ in range(5):
        browser.post(CODE, {"code": "000000"})

    browser.post(CODE, {"code": app.code()})

    assert not is_in(browser)
    assert SignInLock.objects.get(key=f"code:{tina.pk}").failures == 5
    assert AuditEntry.objects.filter(action="second_factor", outcome="refused").count() == 5
    assert AuditEntry.objects.filter(action="sign_in_locked").count() == 1


def test_the_right_password_counts_for_five_minutes(tina: User, browser: Client) -> None:
    app, _ = enrolled(tina)
    give_password(browser, "tina")
    session = browser.session
    session["pending_sign_in"] = {**session["pending_sign_in"], "at": time.time() - 301}
    session.save()

    assert browser.post(CODE, {"code": app.code()})["Location"] == LOGIN

    assert not is_in(browser)


def test_a_password_changed_meanwhile_counts_no_more(tina: User, browser: Client) -> None:
    app, _ = enrolled(tina)
    give_password(browser, "tina")
    tina.set_password("quite another passphrase")
    tina.save()

    assert browser.post(CODE, {"code": app.code()})["Location"] == LOGIN


def test_a_changed_secret_key_is_told(tina: User, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = enrolled(tina)
    give_password(browser, "tina")
    SecondFactor.objects.update(salt=bytes(40))

    for _ in range(5):
        assert "SECRET_KEY was changed" in browser.post(CODE, {"code": app.same_code()}).content.decode()

    assert not is_in(browser)
    assert AuditEntry.objects.filter(action="sign_in_locked").count() == 1, "a wait has begun"


def test_without_the_requirement_a_password_is_enough_unless_there_is_an_app(tina: User, browser: Client) -> None:
    with configured(require_second_factor=False):
        assert give_password(browser, "tina")["Location"] == "/admin/"
        assert is_in(browser)
        enrolled(tina)
        assert give_password(Client(), "tina")["Location"] == CODE
    assert not is_in(browser), "the requirement came back, and the session had no code"


@pytest.mark.parametrize(("debug", "given", "required"), [(0, None, 1), (1, None, 0), (1, True, 1), (0, False, 0)])
def test_it_is_required_unless_debug_or_told_otherwise(debug: int, given: bool | None, required: int) -> None:
    from ops.conf import Settings

    extra = {} if given is None else {"require_second_factor": given}
    assert Settings(debug=bool(debug), **extra).second_factor_required is bool(required)  # type: ignore[arg-type]
