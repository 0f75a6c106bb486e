"""Callers of the API."""

import pytest

from tests.accounts.api import caller
from tests.accounts.api.caller import Caller, new_caller
from tests.accounts.api.lanes import LaneClient
from tests.bank import Bank


@pytest.fixture
def api(bank: Bank) -> Caller:
    """The client "acme", with every scope, for the accounts in its care."""
    return new_caller()


BOTH_LANES = {
    "test_authentication",
    "test_balance",
    "test_deposits",
    "test_idempotency",
    "test_if_match",
    "test_overload",
    "test_problems",
    "test_strict_json",
    "test_transfers",
    "test_withdrawals",
}
"""Files about the routes that the fast lane serves: their tests are its contract, and run both ways."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in BOTH_LANES:
        metafunc.parametrize("lane", ["ordinary lane", "fast lane"], indirect=True)


@pytest.fixture(autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if getattr(request, "param", "") == "fast lane":
        monkeypatch.setattr(caller, "HTTP", LaneClient)
