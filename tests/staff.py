"""Members of staff for tests: one for each role, signed in to Django's own client."""

import time

from django.contrib.auth.models import Group, User
from django.test import Client

PASSWORD = "a long enough passphrase"


def make_staff(role: str, *, name: str | None = None) -> User:
    """A member of staff with one of the roles that the migrations make."""
    user = User.objects.create_user(username=name or role, password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def make_superuser(name: str = "root") -> User:
    return User.objects.create_superuser(username=name, password=PASSWORD)


def signed_in(user: User) -> Client:
    """A browser, as far as Django can tell, in which `user` is signed in."""
    client = Client()
    sign_in(client, user)
    return client


def sign_in(client: Client, user: User) -> None:
    """As if password and code had been given a moment ago."""
    client.force_login(user)
    session = client.session
    now = time.time()
    session.update({"signed_in_at": now, "seen_at": now, "proved_at": now, "second_factor": True})
    session.save()
