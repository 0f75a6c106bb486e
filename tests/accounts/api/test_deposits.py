"""POST /accounts/{id}/deposits brings money in."""

import uuid
from typing import Any

import psycopg
import pytest

from eventstore.models import Event
from tests.accounts.api.caller import Caller, fields_at_fault, refusal
from tests.bank import Bank

WRONG_AMOUNTS: list[Any] = [
    10,
    10.5,
    True,
    None,
    "",
    "0",
    "0.00",
    "-1.00",
    "+1.00",
    "1e3",
    "1E3",
    "NaN",
    "Infinity",
    "1.001",
    "1,00",
    "1 000",
    " 1.00",
    "1.00\n",
    "01.00",
    ".5",
    "5.",
    "0x10",
    "١٠",
    "１０",
    "1" * 40,
    ["1.00"],
    {"minor": 100},
]


def test_the_balance_grows_and_the_event_tells_who_and_why(api: Caller) -> None:
    account_id = api.open("1.00")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    answer = api.post(
        f"/accounts/{account_id}/deposits",
        {"amount": "10.50", "currency": "EUR", "contra": "wire", "description": "Salary"},
        X_Request_ID="req-1",
        X_Correlation_ID="payroll-7",
        traceparent=trace,
    )

    assert answer.status_code == 200
    after = answer.json()["accounts"][0]
    assert (after["id"], after["balance"], after["version"]) == (account_id, "11.50", 2)
    assert answer["ETag"] == '"2"'
    event = Event.objects.get(command_id=answer.json()["transaction_id"])
    assert (event.event_type, event.data["amount"], event.data["contra"]) == ("Deposited", 1050, "wire:EUR")
    assert event.data["description"] == "Salary"
    assert event.metadata == {
        "actor": "client:acme",
        "source": "api",
        "request_id": "req-1",
        "correlation_id": "payroll-7",
        "traceparent": trace,
        "address": "127.0.0.1",
    }


@pytest.mark.parametrize("amount", WRONG_AMOUNTS)
def test_a_wrong_amount_is_a_field_error_and_moves_nothing(api: Caller, bank: Bank, amount: Any) -> None:
    """Rows 1 and 4: negative amounts were accepted, and decimals without end."""
    account_id = api.open("5.00")
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", {"amount": amount, "currency": "EUR"})

    assert answer.status_code == 400
    assert set(fields_at_fault(answer)) == {"amount"}
    assert bank.footprint() == before


def test_the_limit_of_one_movement_is_enforced(api: Caller, bank: Bank) -> None:
    """Row 5: limits were declared and never enforced."""
    account_id = api.open()
    path = f"/accounts/{account_id}/deposits"
    assert api.post(path, {"amount": "100000000000.00", "currency": "EUR"}).status_code == 200
    before = bank.footprint()

    answer = api.post(path, {"amount": "100000000000.01", "currency": "EUR"})

    assert refusal(answer) == (400, "amount_too_large")
    assert bank.footprint() == before


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {"amount": "validation_failed", "currency": "validation_failed"}),
        ({"ammount": "1.00", "currency": "EUR"}, {"ammount": "unknown_field", "amount": "validation_failed"}),
        ({"amount": "1.00", "currency": "XXX"}, {"currency": "validation_failed"}),
        ({"amount": "1.00", "currency": "USD"}, {"currency": "currency_mismatch"}),
        ({"amount": "1.00", "currency": "EUR", "contra": "fees"}, {"contra": "validation_failed"}),
        ({"amount": "1.00", "currency": "EUR", "contra": ["cash"]}, {"contra": "validation_failed"}),
        ({"amount": "1.00", "currency": "EUR", "description": "a\u0000b"}, {"description": "validation_failed"}),
        ({"amount": "1.00", "currency": "EUR", "description": "a\u202eb"}, {"description": "validation_failed"}),
        ({"amount": "1.00", "currency": "EUR", "description": "x" * 201}, {"description": "validation_failed"}),
        ({"amount": "1.00", "currency": "EUR", "description": 7}, {"description": "validation_failed"}),
    ],
)
def test_a_wrong_field_is_named(api: Caller, bank: Bank, body: dict[str, Any], faults: dict[str, str]) -> None:
    account_id = api.open("5.00")
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", body)

    assert answer.status_code in (400, 422)
    assert fields_at_fault(answer) == faults
    assert bank.footprint() == before


def test_unknown_frozen_and_closed_accounts_take_no_money(api: Caller, bank: Bank) -> None:
    """Row 1: closed and unknown accounts were accepted."""
    frozen, closed, theirs = api.open(), api.open(), bank.open()
    api.post(f"/accounts/{frozen}/freeze")
    api.post(f"/accounts/{closed}/close")
    before = bank.footprint()

    def deposit(account_id: object) -> tuple[int, str]:
        return refusal(api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}))

    assert deposit(frozen) == (422, "account_frozen")
    assert deposit(closed) == (422, "account_closed")
    assert deposit(theirs) == (404, "account_not_found")
    assert deposit(uuid.uuid4()) == (404, "account_not_found")
    assert bank.footprint() == before


def test_what_was_done_is_there_to_read_at_once(api: Caller) -> None:
    account_id = api.open()

    for expected in ("1.00", "2.00", "3.00"):
        api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"})
        assert api.balance(account_id) == expected


def test_on_an_account_that_contradicts_its_events_nothing_is_done_and_that_is_told(
    api: Caller, bank: Bank, sweeper: psycopg.Connection
) -> None:
    account_id = api.open("1.00")
    sweeper.execute("UPDATE accounts SET version = version + 1 WHERE id = %s", (account_id,))
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}, key="d")

    assert refusal(answer) == (500, "broken_history")
    assert "Nothing was done" in answer.json()["detail"]
    assert account_id not in answer.json()["detail"], "what contradicts what is for the bank alone"
    assert bank.footprint() == before
    sweeper.execute("UPDATE accounts SET version = version - 1 WHERE id = %s", (account_id,))
    assert (
        api.post(f"/accounts/{account_id}/deposits", {"amount": "1.00", "currency": "EUR"}, key="d").status_code
        == 200
    )
