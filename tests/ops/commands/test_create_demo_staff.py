"""create_demo_staff: one member of staff for each role, passwords printed once."""

from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from accounts.roles import ROLES


def run() -> str:
    output = StringIO()
    call_command("create_demo_staff", stdout=output)
    return output.getvalue()


def test_each_role_gets_a_member_who_can_sign_in_with_what_was_printed(db: None) -> None:
    printed = dict(line.split() for line in run().splitlines() if line.startswith("  ") and "password" not in line)

    assert set(printed) == {*ROLES, "supervisor2"}
    assert len(set(printed.values())) == len(printed)
    for name, password in printed.items():
        assert Client().login(username=name, password=password)
        assert [group.name for group in User.objects.get(username=name).groups.all()] == [name.removesuffix("2")]


def test_a_second_run_prints_and_changes_nothing(db: None) -> None:
    run()
    before = list(User.objects.order_by("id").values())

    assert run() == ""
    assert list(User.objects.order_by("id").values()) == before


def test_nobody_is_added_where_there_is_staff_already(db: None) -> None:
    User.objects.create_superuser("root", password="a long enough passphrase")

    assert run() == ""
    assert User.objects.count() == 1
