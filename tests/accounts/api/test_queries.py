"""A budget of SQL statements for each route: what creeps in shows here."""

import pytest

from accounts.services.executor import WRITTEN_AT_ONCE
from tests.accounts.api.caller import Caller
from tests.statements import Since, counted

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Since:
    return counted(monkeypatch)


COMMAND = 5
"""BEGIN, what is opened, states; what is written, COMMIT: sent in two round trips."""


def test_a_command_costs_the_statements_of_the_executor_alone(api: Caller, statements: Since) -> None:
    """The key was found good a moment ago."""
    account_id, target = api.open("100.00"), api.open()
    statements()

    api.post(f"/accounts/{account_id}/deposits", BODY)
    assert statements() == COMMAND
    api.post(f"/accounts/{account_id}/transfers", BODY | {"target_account_id": target})
    assert statements() == COMMAND


@pytest.mark.parametrize(("commands", "parts"), [(WRITTEN_AT_ONCE - 1, 1), (2 * WRITTEN_AT_ONCE + 1, 3)])
def test_a_batch_costs_what_a_single_command_costs_and_a_statement_for_each_further_part(
    api: Caller, statements: Since, commands: int, parts: int
) -> None:
    account_id = api.open()
    statements()

    api.post("/batches", {"commands": [{"command": "deposit", "account_id": account_id, **BODY}] * commands})

    assert statements() == COMMAND + parts - 1


@pytest.mark.parametrize(
    ("path", "budget"),
    [("", 2), ("/balance", 2), ("/events", 3), ("/transactions", 4), ("/balance?at", 6), ("/statement?days", 10)],
)
def test_reads_cost_the_same_however_long_the_history(api: Caller, statements: Since, path: str, budget: int) -> None:
    account_id = api.open()
    for _ in range(10):
        api.post(f"/accounts/{account_id}/deposits", BODY)
    route, _, at = path.partition("?")
    moment = api.get(f"/accounts/{account_id}").json()["updated_at"]
    query = {"": {}, "at": {"at": moment}, "days": {"from": moment[:10], "to": moment[:10]}}[at]
    statements()

    assert api.get(f"/accounts/{account_id}{route}", query).status_code == 200

    assert statements() <= budget


def test_a_page_of_accounts_costs_one_statement(api: Caller, statements: Since) -> None:
    for _ in range(10):
        api.open()
    statements()

    api.get("/accounts", {"page_size": "5"})

    assert statements() == 1
