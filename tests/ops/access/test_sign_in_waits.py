"""Waits after failures to sign in, by account and by address."""

import re
from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ops.models import AuditEntry, SignInLock
from ops.signin import locks
from tests.configured import configured
from tests.ops.access.signing_in import give_password
from tests.staff import make_staff, signed_in
from tests.threads import together


def fail(browser: Client, name: str, times: int, address: str = "192.0.2.1") -> list[str]:
    return [give_password(browser, name, "wrong", REMOTE_ADDR=address).content.decode() for _ in range(times)]


def test_after_five_failures_the_right_password_has_to_wait(tina: User, browser: Client) -> None:
    told = fail(browser, "tina", 5)

    locked = give_password(browser, "tina", REMOTE_ADDR="192.0.2.1")

    assert locked.status_code == 200
    assert without_token(locked.content.decode()) == without_token(told[0]), "the same words"
    assert AuditEntry.objects.filter(action="sign_in_locked", subject="staff:tina").count() == 1
    SignInLock.objects.filter(key=f"user:{tina.pk}").update(blocked_until=timezone.now())
    assert give_password(browser, "tina", REMOTE_ADDR="192.0.2.1").status_code == 302


def test_waits_double_up_to_the_longest(tina: User, browser: Client) -> None:
    waits = []
    for _ in range(12):
        fail(browser, "tina", 1)
        lock = SignInLock.objects.get(key=f"user:{tina.pk}")
        waits.append(round((lock.blocked_until - lock.failed_at).total_seconds()))
        SignInLock.objects.update(blocked_until=timezone.now())

    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]


def test_a_try_during_a_wait_neither_lengthens_it_nor_fills_the_audit(tina: User, browser: Client) -> None:
    fail(browser, "tina", 5)
    before = SignInLock.objects.values().get(key=f"user:{tina.pk}")
    entries = AuditEntry.objects.count()

    fail(browser, "tina", 10)

    assert SignInLock.objects.values().get(key=f"user:{tina.pk}") == before
    assert AuditEntry.objects.count() == entries


def test_a_name_that_nobody_has_waits_and_answers_alike(tina: User, browser: Client) -> None:
    known = fail(browser, "tina", 7)
    unknown = fail(Client(), "nobody", 7, address="192.0.2.2")

    assert {without_token(text, "tina") for text in known} == {without_token(text, "nobody") for text in unknown}
    assert SignInLock.objects.get(key__startswith="name:").failures == 5


def test_an_address_waits_whatever_names_it_tries(tina: User, browser: Client) -> None:
    with configured(sign_in_address_attempts=6):
        for number in range(6):
            fail(browser, f"name{number}", 1)

        assert give_password(browser, "tina", REMOTE_ADDR="192.0.2.1").status_code == 200
        assert give_password(browser, "tina", REMOTE_ADDR="192.0.2.9").status_code == 302


def test_a_blocked_address_locks_nobody_else(tina: User, browser: Client) -> None:
    fail(browser, "tina", 1, address="192.0.2.9")
    with configured(sign_in_address_attempts=6):
        for number in range(6):
            fail(browser, f"name{number}", 1)
        before, entries = list(SignInLock.objects.order_by("key").values()), AuditEntry.objects.count()

        fail(browser, "tina", 5)
        fail(browser, "somebody else", 5)

        assert list(SignInLock.objects.order_by("key").values()) == before
        assert AuditEntry.objects.count() == entries
        assert AuditEntry.objects.get(action="sign_in_locked").subject == "address:192.0.2.1"
        assert give_password(browser, "tina", REMOTE_ADDR="192.0.2.9").status_code == 302


def test_guesses_that_come_together_count_for_all_or_for_none(tina: User) -> None:
    """Also while the address begins to wait in the midst of them."""
    with configured(sign_in_address_attempts=3, sign_in_attempts=20):
        tries = [lambda: locks.attempt(locks.of_name("tina"), locks.of_address("192.0.2.1")).allowed] * 12
        allowed = together(tries)

    assert sum(allowed) == 3
    assert set(SignInLock.objects.values_list("failures", flat=True)) == {3}


def test_the_right_password_takes_back_its_own_try_at_the_address_and_no_more(tina: User, browser: Client) -> None:
    fail(browser, "nobody", 3)

    give_password(browser, "tina", REMOTE_ADDR="192.0.2.1")

    assert SignInLock.objects.get(key__startswith="address:").failures == 3
    assert not SignInLock.objects.filter(key=f"user:{tina.pk}").exists()


def test_failures_are_forgotten_by_and_by(tina: User, browser: Client) -> None:
    fail(browser, "tina", 4)
    SignInLock.objects.update(failed_at=timezone.now() - timedelta(hours=3, minutes=1))

    fail(browser, "tina", 1)

    assert SignInLock.objects.get(key=f"user:{tina.pk}").failures == 2


def test_the_table_has_an_upper_size() -> None:
    """Real accounts have a row each; all other names share some, and so do addresses."""
    addresses = {locks.of_address(f"198.51.{n // 250}.{n % 250}").key for n in range(2000)}

    assert all(0 <= int(key.partition(":")[2]) < locks.ADDRESS_BUCKETS for key in addresses)
    assert locks.of_address("2001:db8::1").key == locks.of_address("2001:db8::ffff:1").key, "a /64 has one owner"


def test_guesses_that_come_together_do_not_slip_in_together(tina: User) -> None:
    allowed = together([lambda: locks.attempt(locks.of_name("tina")).allowed] * 12)

    assert sum(allowed) == 5


def test_staff_with_the_right_unlock_with_a_reason(tina: User, browser: Client) -> None:
    fail(browser, "tina", 5)
    supervisor = signed_in(make_staff("supervisor"))
    page = supervisor.get("/admin/ops/signinlock/").content.decode()
    assert "staff:tina" in page
    assert "Has to wait" in page
    url = f"/admin/ops/signinlock/user:{tina.pk}/unlock/"
    assert signed_in(make_staff("auditor")).post(url, {"reason": "x"}).status_code == 403
    assert supervisor.post(url, {"reason": ""}).status_code == 200
    assert give_password(browser, "tina").status_code == 200

    supervisor.post(url, {"reason": "She called from her desk"})

    assert give_password(browser, "tina").status_code == 302
    entry = AuditEntry.objects.get(action="unlock_sign_in", outcome="done")
    assert (entry.actor, entry.reason) == ("staff:supervisor", "She called from her desk")


def without_token(page: str, name: str = "tina") -> str:
    """The page less what differs from answer to answer."""
    text = re.sub(r'(csrfmiddlewaretoken" value|nonce)="[^"]*"', "", page)
    return re.sub(r"X-CSRFToken[^}]*", "", text).replace(name, "NAME")
