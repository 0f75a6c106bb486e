"""Callers of the API."""

import pytest

from tests.accounts.api.caller import Caller, new_caller
from tests.bank import Bank


@pytest.fixture
def api(bank: Bank) -> Caller:
    """The client "acme", with every scope, for the accounts in its care."""
    return new_caller()
