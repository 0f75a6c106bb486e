"""Two supervisors, and an account."""

from uuid import UUID

import pytest
from django.test import Client

from tests.bank import Bank
from tests.staff import make_staff, signed_in


@pytest.fixture
def alice(db: None) -> Client:
    return signed_in(make_staff("supervisor", name="alice"))


@pytest.fixture
def bob(db: None) -> Client:
    return signed_in(make_staff("supervisor", name="bob"))


@pytest.fixture
def ann(bank: Bank) -> UUID:
    return bank.open("100.00")
