"""Somebody who signs in."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.staff import make_staff


@pytest.fixture
def tina(db: None) -> User:
    return make_staff("teller", name="tina")


@pytest.fixture
def browser() -> Client:
    return Client()
