"""Staff and roles in the admin: changed by a superuser with a reason, recorded, never deleted."""

from collections.abc import Iterator

import psycopg
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError
from django.test import Client

from ops.models import AuditEntry
from tests.staff import PASSWORD, make_staff, make_superuser, signed_in

NEW_PASSWORD = "quite another passphrase"


@pytest.fixture
def root(db: None) -> Client:
    return signed_in(make_superuser())


def entries() -> list[tuple[str, str, str]]:
    found = AuditEntry.objects.exclude(action="sign_in").order_by("id")
    return [(entry.action, entry.subject, entry.reason) for entry in found]


def test_a_member_of_staff_gets_a_role(root: Client) -> None:
    form = {
        "username": "tina",
        "usable_password": "true",
        "password1": NEW_PASSWORD,
        "password2": NEW_PASSWORD,
        "reason": "Starts on Monday",
    }
    assert root.post("/admin/auth/user/add/", form).status_code == 302
    tina = User.objects.get(username="tina")
    assert not tina.is_staff
    teller = Group.objects.get(name="teller")

    form = {
        "username": "tina",
        "is_active": "on",
        "is_staff": "on",
        "groups": [str(teller.pk)],
        "reason": "As a teller",
    }
    assert root.post(f"/admin/auth/user/{tina.pk}/change/", form).status_code == 302

    assert User.objects.get(pk=tina.pk).has_perm("accounts.deposit")
    assert entries() == [
        ("add_user", f"user:{tina.pk}", "Starts on Monday"),
        ("change_user", f"user:{tina.pk}", "As a teller"),
    ]
    last = AuditEntry.objects.order_by("id").last()
    assert last is not None
    assert last.detail["changes"]["roles"] == ["teller"]
    assert NEW_PASSWORD not in str(list(AuditEntry.objects.values()))


def test_what_a_role_may_since_its_change_is_on_record(root: Client) -> None:
    viewer = Group.objects.get(name="viewer")
    wanted = Permission.objects.filter(codename__in=["view_account", "deposit"])

    form = {"name": "viewer", "permissions": [str(p.pk) for p in wanted], "reason": "They take cash now"}
    assert root.post(f"/admin/auth/group/{viewer.pk}/change/", form).status_code == 302

    entry = AuditEntry.objects.get(action="change_group")
    assert (entry.subject, entry.reason) == (f"group:{viewer.pk}", "They take cash now")
    assert entry.detail["changes"]["permissions"] == ["accounts.deposit", "accounts.view_account"]


def test_a_change_without_a_reason_is_not_made(root: Client) -> None:
    tina = make_staff("viewer", name="tina")

    answer = root.post(f"/admin/auth/user/{tina.pk}/change/", {"username": "tina", "is_superuser": "on"})

    assert "Say why" in answer.content.decode()
    tina.refresh_from_db()
    assert not tina.is_superuser
    assert entries() == []


def test_a_user_name_stays_since_events_and_entries_name_people_by_it(root: Client) -> None:
    tina = make_staff("viewer", name="tina")
    url = f"/admin/auth/user/{tina.pk}/change/"
    page = root.get(url).content.decode()
    assert 'name="username"' not in page
    assert "tina" in page

    form = {"username": "root2", "first_name": "Tina", "is_active": "on", "reason": "She wants another name"}
    assert root.post(url, form).status_code == 302

    tina.refresh_from_db()
    assert (tina.username, tina.first_name) == ("tina", "Tina")
    assert 'name="username"' in root.get("/admin/auth/user/add/").content.decode()


def test_a_password_is_set_for_somebody_else_with_a_reason(root: Client) -> None:
    tina = make_staff("viewer", name="tina")
    form = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    root.post(f"/admin/auth/user/{tina.pk}/password/", form)
    tina.refresh_from_db()
    assert tina.check_password(PASSWORD)

    root.post(f"/admin/auth/user/{tina.pk}/password/", {**form, "reason": "Forgotten"})

    tina.refresh_from_db()
    assert tina.check_password(NEW_PASSWORD)
    assert entries() == [("change_user", f"user:{tina.pk}", "Forgotten")]


def test_a_change_of_the_own_password_is_recorded(db: None) -> None:
    client = signed_in(make_staff("viewer", name="tina"))

    client.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD},
    )

    assert User.objects.get().check_password(NEW_PASSWORD)
    assert [action for action, _, _ in entries()] == ["change_own_password"]


def test_nobody_is_deleted_since_events_name_them(root: Client) -> None:
    tina = make_staff("viewer", name="tina")

    assert root.post(f"/admin/auth/user/{tina.pk}/delete/", {"post": "yes"}).status_code == 403
    assert root.post(f"/admin/auth/group/{tina.groups.get().pk}/delete/", {"post": "yes"}).status_code == 403
    root.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [tina.pk], "post": "yes"})

    assert User.objects.filter(username="tina").exists()


@pytest.fixture
def full_audit(db: None, sweeper: psycopg.Connection) -> Iterator[None]:
    """The audit table takes no entry on a user."""
    sweeper.execute("ALTER TABLE ops_auditentry ADD CONSTRAINT full_up CHECK (subject !~ '^user:') NOT VALID")
    yield
    sweeper.execute("ALTER TABLE ops_auditentry DROP CONSTRAINT full_up")


def test_a_change_that_cannot_be_recorded_is_not_made(root: Client, full_audit: None) -> None:
    """The record and the change are one transaction."""
    tina = make_staff("viewer", name="tina")

    with pytest.raises(IntegrityError):
        root.post(f"/admin/auth/user/{tina.pk}/change/", {"username": "tina", "is_superuser": "on", "reason": "x"})

    tina.refresh_from_db()
    assert not tina.is_superuser


def test_an_auditor_looks_at_staff_and_is_not_asked_why(db: None) -> None:
    auditor = signed_in(user := make_staff("auditor"))

    page = auditor.get(f"/admin/auth/user/{user.pk}/change/")

    assert page.status_code == 200
    assert 'name="reason"' not in page.content.decode()
    assert 'name="_save"' not in page.content.decode()


def test_signing_in_with_an_odd_name_is_recorded_and_no_error(db: None) -> None:
    for name in ("x" * 5000, "nul\x00byte", "", "<b>"):
        assert Client().post("/admin/login/", {"username": name, "password": "x"}).status_code == 200

    assert AuditEntry.objects.filter(action="sign_in", outcome="refused").count() >= 1
