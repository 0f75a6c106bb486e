"""The lists of Django's own kind as files: staff, roles and API clients."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.roles import ROLES
from ops.models import ApiClient
from tests.ops.admin.test_exports import column, entries, rows, text
from tests.staff import make_staff, make_superuser, signed_in

STAFF, ROLE_LIST, CLIENTS = "/admin/auth/user/export/", "/admin/auth/group/export/", "/admin/ops/apiclient/export/"


@pytest.fixture
def auditor(db: None) -> Client:
    return signed_in(make_staff("auditor"))


def test_the_list_of_staff_is_exported_with_their_roles(auditor: Client) -> None:
    make_staff("teller", name="=tina")
    make_superuser()

    found = rows(auditor.post(STAFF))

    assert column("User name", found) == ["root", "'=tina", "auditor"]
    assert column("Roles", found) == ["", "teller", "auditor"]
    assert column("Superuser", found) == ["True", "False", "False"]
    assert "pbkdf2" not in str(found), "no digest of a password"
    began, ended = entries()
    assert (began.subject, ended.detail["rows"]) == ("list:auth.user", 3)


def test_its_filters_are_those_of_the_list(auditor: Client) -> None:
    make_staff("teller", name="tina")
    User.objects.filter(username="tina").update(is_active=False)
    make_superuser()

    offered = auditor.get("/admin/auth/user/?is_active__exact=0&o=1").content.decode()

    assert f'href="{STAFF}?is_active__exact=0"' in offered
    assert column("User name", rows(auditor.post(STAFF, {"is_active__exact": "0"}))) == ["tina"]
    assert column("User name", rows(auditor.post(STAFF, {"q": "roo"}))) == ["root"]
    preview = auditor.get(f"{STAFF}?is_active__exact=0").content.decode()
    assert 'name="is_active__exact" value="0"' in preview
    before = len(entries())
    assert auditor.post(STAFF, {"password__startswith": "pbkdf2"}).status_code == 302
    assert len(entries()) == before


def test_roles_are_exported_with_what_they_may_and_who_holds_them(auditor: Client) -> None:
    found = rows(auditor.post(ROLE_LIST))

    may = dict(zip(column("Role", found), column("May", found), strict=True))
    assert {role: set(told.split(", ")) for role, told in may.items()} == ROLES
    assert dict(zip(column("Role", found), column("Held by", found), strict=True))["auditor"] == "auditor"


def test_api_clients_are_exported(auditor: Client) -> None:
    ApiClient.objects.create(name="acme", is_active=False)

    found = rows(auditor.post(CLIENTS))

    assert (column("Name", found), column("Active", found)) == (["acme"], ["False"])
    assert f'href="{CLIENTS}"' in auditor.get("/admin/ops/apiclient/").content.decode()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_who_may_see_these_lists_and_export_may_export_them(db: None, role: str) -> None:
    client = signed_in(make_staff(role))

    for path, view in ((STAFF, "auth.view_user"), (ROLE_LIST, "auth.view_group"), (CLIENTS, "ops.view_apiclient")):
        allowed = {"ops.export_lists", view} <= ROLES[role]
        assert client.get(path).status_code == (200 if allowed else 403)
        answer: Any = client.post(path)
        assert answer.status_code == (200 if allowed else 403)
        if allowed:
            text(answer)
