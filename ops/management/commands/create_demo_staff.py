"""Makes one member of staff for each role, on the first start."""

import secrets
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand
from django.db import transaction

from ops.conf import get_settings

SECOND_FACTOR = """
The first sign-in shows a picture to scan with an authenticator app (any app for TOTP codes), and asks for a code
from it; so does each later one. Without a phone at hand: REQUIRE_SECOND_FACTOR=false make run."""

APPROVER = "supervisor"
"""Of this role there are two: some of what one of them asks for, another has to approve."""


class Command(BaseCommand):
    help = (
        "Makes one member of staff for each role, named as the role, and a second supervisor, with generated "
        "passwords that are printed once. Does nothing where there is any member of staff."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(is_staff=True).exists():
            return
        with transaction.atomic():
            passwords = {group.name: make_member(group, group.name) for group in Group.objects.order_by("name")}
            for group in Group.objects.filter(name=APPROVER):
                passwords[f"{APPROVER}2"] = make_member(group, f"{APPROVER}2")
        if not passwords:
            self.stdout.write("There are no roles yet: run manage.py migrate first.")
            return
        width = max(len(name) for name in passwords)
        self.stdout.write(
            "Demo staff, one for each role, and a second one to approve. The passwords are shown this once:\n\n"
        )
        self.stdout.write(f"  {'user':<{width}}  password")
        for name, password in passwords.items():
            self.stdout.write(f"  {name:<{width}}  {password}")
        if get_settings().second_factor_required:
            self.stdout.write(SECOND_FACTOR)
        self.stdout.write("")


def make_member(role: Group, name: str) -> str:
    """Returns the new member's password."""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(username=name, password=password, is_staff=True)
    user.groups.add(role)
    return password
