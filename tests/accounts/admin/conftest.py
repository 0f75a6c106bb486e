"""Members of staff at their desks."""

import pytest
from django.test import Client

from tests.staff import make_staff, signed_in


@pytest.fixture
def teller(db: None) -> Client:
    return signed_in(make_staff("teller"))


@pytest.fixture
def supervisor(db: None) -> Client:
    return signed_in(make_staff("supervisor"))
