"""Makes one member of staff for each role, on the first start."""

import secrets
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand
from django.db import transaction


class Command(BaseCommand):
    help = (
        "Makes one member of staff for each role, named as the role, with a generated password that is printed "
        "once. Does nothing where there is any member of staff."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(is_staff=True).exists():
            return
        with transaction.atomic():
            passwords = {group.name: make_member(group) for group in Group.objects.order_by("name")}
        if not passwords:
            self.stdout.write("There are no roles yet: run manage.py migrate first.")
            return
        width = max(len(name) for name in passwords)
        self.stdout.write("Demo staff, one for each role. The passwords are shown this once:\n\n")
        self.stdout.write(f"  {'user':<{width}}  password")
        for name, password in passwords.items():
            self.stdout.write(f"  {name:<{width}}  {password}")
        self.stdout.write("")


def make_member(role: Group) -> str:
    """Returns the new member's password."""
    password = secrets.token_urlsafe(12)
    user = User.objects.create_user(username=role.name, password=password, is_staff=True)
    user.groups.add(role)
    return password
