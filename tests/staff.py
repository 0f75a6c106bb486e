"""Members of staff for tests: one for each role, signed in to Django's own client."""

import time
from functools import lru_cache

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.test import Client

PASSWORD = "a long enough passphrase"


def make_staff(role: str, *, name: str | None = None) -> User:
    """A member of staff with one of the roles that the migrations make."""
    user = User.objects.create(username=name or role, password=hashed(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def make_superuser(name: str = "root") -> User:
    return User.objects.create(username=name, password=hashed(), is_staff=True, is_superuser=True)


@lru_cache
def hashed() -> str:
    """Of `PASSWORD`: to hash takes a quarter of a second, on purpose, and hundreds of tests need somebody."""
    return make_password(PASSWORD)


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
