"""/debug tells what is in hand, and cleans up."""

import time
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.domain.commands import Deposit
from accounts.domain.money import Money
from eventstore import cleanup
from eventstore.models import IdempotencyRecord
from ops.board import facts
from ops.database import watching
from ops.debug import views
from ops.detectors.monitor import Monitor
from ops.models import AuditEntry
from ops.operations import operation, step
from tests.bank import Bank
from tests.configured import configured
from tests.ops.operators import Operator


@pytest.mark.parametrize("path", ["/debug/active-operations", "/debug/active-operations/"])
def test_an_operation_is_listed_from_its_start_to_its_end(operator: Operator, path: str) -> None:
    with operation("job", "counting", timeout=30, resources=["account-1"], actor="staff:alice"):
        step("deep inside")
        during = operator.get(path).json()
    after = operator.get(path).json()

    [found] = [entry for entry in during["operations"] if entry["name"] == "counting"]
    assert (found["step"], found["actor"], found["resources"]) == ("deep inside", "staff:alice", ["account-1"])
    assert found["process"]["pid"]
    assert "counting" not in {entry["name"] for entry in after["operations"]}


@pytest.mark.parametrize("path", ["/debug/stuck-operations", "/debug/stuck-operations/"])
def test_only_what_is_past_its_deadline_is_stuck(operator: Operator, path: str) -> None:
    with operation("job", "patient", timeout=60), operation("job", "late", timeout=0.01):
        time.sleep(0.05)
        found = operator.get(path).json()

    assert ["late" in entry["reason"] for entry in found["operations"]] == [True]
    assert found["count"] == 1


@pytest.mark.parametrize("path", ["/debug/state", "/debug/state/"])
def test_the_state_names_every_process_and_what_it_holds(operator: Operator, path: str) -> None:
    told = operator.get(path).json()
    assert told["processes"]
    assert {"pool_pressure", "held_connections", "long_transactions", "blocked"} <= set(told)
    assert told["blocked"]["error"] is None


@pytest.fixture
def old_record(bank: Bank, sweeper: psycopg.Connection) -> None:
    ann = bank.open("10.00")
    bank.do(Deposit(ann, Money(100, "EUR")), key="old")
    sweeper.execute("UPDATE idempotency_records SET created_at = created_at - %s", (timedelta(days=30),))
    bank.do(Deposit(ann, Money(100, "EUR")), key="young")


@pytest.mark.usefixtures("old_record")
@pytest.mark.parametrize("path", ["/debug/cleanup", "/debug/cleanup/"])
def test_the_cleanup_says_what_it_did_and_is_audited(operator: Operator, path: str) -> None:
    answer = operator.http.post(f"{path}?reason=disk%20is%20full")

    assert answer.status_code == 200
    told = answer.json()
    assert {kind: rows for kind, rows in told["removed"].items() if rows} == {"idempotency_records": 1}
    assert set(told["removed"]) >= {
        "snapshots",
        "webhook_deliveries",
        "sessions",
        "incidents",
        "orphaned_transactions",
    }
    assert (told["dry_run"], told["total"], told["unfinished"]) == (False, 1, [])
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason) == ("cleanup", "local", "disk is full")
    assert entry.detail["idempotency_records"] == 1


def test_a_cleanup_that_runs_out_of_time_says_what_it_removed_and_is_audited(
    operator: Operator, bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = bank.open("10.00")
    for number in range(60):
        bank.do(Deposit(ann, Money(100, "EUR")), key=f"old-{number}")
    sweeper.execute("UPDATE idempotency_records SET created_at = created_at - %s", (timedelta(days=30),))
    remove_some = cleanup.Expiry.remove_some

    def remove_slowly(self: cleanup.Expiry) -> int:
        time.sleep(0.1)
        return remove_some(self)

    monkeypatch.setattr(cleanup, "BATCH", 1)
    monkeypatch.setattr(cleanup.Expiry, "remove_some", remove_slowly)
    monkeypatch.setattr(views, "CLEANUP_WITHIN", 4.0)
    before = IdempotencyRecord.objects.count()
    answer = operator.http.post("/debug/cleanup")

    gone = before - IdempotencyRecord.objects.count()
    assert answer.status_code == 200
    assert answer.json()["removed"]["idempotency_records"] == gone > 0
    assert "idempotency_records" in answer.json()["unfinished"]
    assert AuditEntry.objects.get().detail["idempotency_records"] == gone < before


@pytest.mark.usefixtures("old_record")
def test_a_dry_run_says_the_same_and_removes_nothing(operator: Operator, bank: Bank) -> None:
    before = bank.footprint()

    answer = operator.http.post("/debug/cleanup?dry_run=true")

    assert answer.json()["removed"]["idempotency_records"] == 1
    assert answer.json()["dry_run"] is True
    assert IdempotencyRecord.objects.count() == 2
    assert bank.footprint() == before
    assert AuditEntry.objects.get().action == "cleanup_dry_run"


@pytest.mark.usefixtures("old_record")
@pytest.mark.parametrize(("method", "query", "status"), [("POST", "?dry_run=perhaps", 400), ("GET", "", 405)])
def test_what_is_not_clear_removes_nothing(operator: Operator, method: str, query: str, status: int) -> None:
    answer = operator.http.generic(method, f"/debug/cleanup{query}")

    assert answer.status_code == status
    assert IdempotencyRecord.objects.count() == 2
    assert AuditEntry.objects.count() == 0


def unix_times(told: Any, of: str = "") -> list[str]:
    """What in an answer is a number that would be a moment of today."""
    if isinstance(told, dict):
        return [found for name, value in told.items() for found in unix_times(value, f"{of}.{name}")]
    if isinstance(told, list):
        return [found for value in told for found in unix_times(value, of)]
    return [of] if isinstance(told, (int, float)) and abs(told - time.time()) < 86_400 else []


@pytest.mark.parametrize(
    "path", ["/debug/state", "/debug/active-operations", "/debug/stuck-operations", "/health/pool", "/health"]
)
def test_all_moments_are_iso_8601_in_utc(operator: Operator, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SHORTEST_THRESHOLD", 0.0)
    Monitor().look()
    with (
        configured(deadlock_operation_timeout=1),
        operation("job", "late", timeout=0.01),
        connection.cursor() as open_,
    ):
        open_.execute("SELECT 1")
        time.sleep(1.1)
        facts.tell()
        told = operator.get(path).json()
        assert told[{"/health": "checked_at", "/health/pool": "checked_at"}.get(path, "at")].endswith("+00:00")
        assert unix_times(told) == []
        if path == "/debug/active-operations":
            [late] = [entry for entry in told["operations"] if entry["name"] == "late"]
            began = datetime.fromisoformat(late["started"])
            assert abs(began.timestamp() - time.time()) < 60
            assert datetime.fromisoformat(late["deadline"]) > began
            assert datetime.fromisoformat(late["process"]["started"]) < began
