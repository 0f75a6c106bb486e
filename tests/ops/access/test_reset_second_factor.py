"""A lost authenticator app: reset by another person, or from the command line."""

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from ops.models import AuditEntry, SecondFactor
from tests.authenticator import enrolled
from tests.ops.access.signing_in import ENROL, give_password, is_in
from tests.staff import make_staff, make_superuser, signed_in


def test_another_person_with_the_right_resets_it(tina: User) -> None:
    enrolled(tina)
    inside = signed_in(tina)
    root = signed_in(make_superuser())
    url = f"/admin/auth/user/{tina.pk}/reset-second-factor/"
    assert f'href="{url}"' in root.get(f"/admin/auth/user/{tina.pk}/change/").content.decode()

    root.post(url, {"reason": " "})
    assert SecondFactor.objects.exists()
    root.post(url, {"reason": "The phone fell into the lake"})

    assert not SecondFactor.objects.exists()
    assert not is_in(inside)
    entry = AuditEntry.objects.get(action="reset_second_factor")
    assert (entry.actor, entry.subject) == ("staff:root", f"user:{tina.pk}")
    assert entry.reason == "The phone fell into the lake"
    assert give_password(Client(), "tina")["Location"] == ENROL


def test_nobody_resets_the_own_one(db: None) -> None:
    user = make_superuser()
    enrolled(user)

    signed_in(user).post(f"/admin/auth/user/{user.pk}/reset-second-factor/", {"reason": "x"})

    assert SecondFactor.objects.exists()


@pytest.mark.parametrize("role", ["teller", "operator", "supervisor", "auditor"])
def test_no_role_resets_one(tina: User, role: str) -> None:
    enrolled(tina)
    client = signed_in(make_staff(role))

    answer = client.post(f"/admin/auth/user/{tina.pk}/reset-second-factor/", {"reason": "x"})

    assert answer.status_code == 403
    assert SecondFactor.objects.exists()


def test_the_command_resets_the_last_administrator(tina: User, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(tina)
    inside = signed_in(tina)
    with pytest.raises(CommandError, match="no user"):
        call_command("reset_second_factor", "nobody", "--reason", "x")
    with pytest.raises(CommandError, match="say why"):
        call_command("reset_second_factor", "tina", "--reason", " ")
    assert is_in(inside)

    call_command("reset_second_factor", "tina", "--reason", "The phone is lost")

    assert "Sessions ended: 1" in capsys.readouterr().out
    assert not SecondFactor.objects.exists()
    assert not is_in(inside)
    assert AuditEntry.objects.get(action="reset_second_factor").reason == "The phone is lost"
