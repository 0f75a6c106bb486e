"""`manage.py cleanup`: removes what may go, says how much of each kind, and leaves a record."""

import json
from datetime import timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.domain.commands import Deposit
from accounts.domain.money import Money
from eventstore import cleanup, projections
from eventstore.models import IdempotencyRecord
from eventstore.projections import orphans
from eventstore.projections.runner import catch_up
from ops.debug.cleanup import ENOUGH, clean_up
from ops.detectors import incidents
from ops.models import AuditEntry, Incident, Resolution, StaffSession
from ops.timeouts import within
from tests.bank import Bank
from tests.eventstore.commands.test_replay_events import read_models
from tests.staff import make_staff, signed_in

STRANGER = "01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55"


def copy_of(table: str, **changed: object) -> str:
    """A statement that adds a row like one of the table's, but for some columns."""
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(t) || '{json.dumps(changed)}')).*"
        f" FROM (SELECT * FROM {table} LIMIT 1) t"
    )


ORPHANS = {
    "accounts": copy_of("accounts", id=STRANGER),
    "reversals": f"INSERT INTO reversals (transaction_id, reversed_by) VALUES ('{STRANGER}', '{STRANGER}')",
    "transactions": copy_of("transactions", position=10**9, version=10**9),
    "journal_lines": copy_of("journal_lines", id=10**9),
    "daily_balances": copy_of("daily_balances", id=10**9, day="2001-02-03"),
    "snapshots": f"INSERT INTO snapshots VALUES ('{STRANGER}', 1, 1, 1, '{{}}', '')",
}


@pytest.fixture
def history(bank: Bank) -> Bank:
    ann, bob = bank.open("100.00"), bank.open("50.00")
    transfer = bank.transfer(ann, bob, "1.00")
    bank.reverse(transfer.transaction_id)
    catch_up(projections.registered())
    return bank


def removed(told: str) -> dict[str, int]:
    lines = [line.split(maxsplit=1) for line in told.splitlines() if line.startswith("  ")]
    return {kind.replace(" ", "_"): int(rows) for rows, kind in lines if int(rows)}


@pytest.mark.parametrize("table", ORPHANS)
def test_rows_that_no_event_accounts_for_go_and_all_others_stay(
    history: Bank, sweeper: psycopg.Connection, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_models()
    sweeper.execute(ORPHANS[table])

    call_command("cleanup", "--dry-run")
    told = capsys.readouterr().out
    assert removed(told) == {f"orphaned_{table}": 1}
    assert "this was a dry run" in told
    assert not AuditEntry.objects.exists()

    call_command("cleanup", "--reason", "a restore went wrong")
    assert removed(capsys.readouterr().out) == {f"orphaned_{table}": 1}
    assert read_models() == before
    entry = AuditEntry.objects.get(action="cleanup")
    assert (entry.reason, entry.detail[f"orphaned_{table}"]) == ("a restore went wrong", 1)
    call_command("verify_ledger")


def test_a_table_is_gone_through_window_by_window(
    history: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "WINDOW", 2)
    before = read_models()
    for number in range(5):
        sweeper.execute(copy_of("transactions", position=10**9 + number, version=10**9 + number))
    assert orphans.remove(dry_run=True).rows["transactions"] == 5
    assert orphans.remove(dry_run=False).rows["transactions"] == 5
    assert read_models() == before


def test_where_time_runs_out_it_says_what_was_not_gone_through(history: Bank, sweeper: psycopg.Connection) -> None:
    sweeper.execute(ORPHANS["transactions"])
    with within(ENOUGH / 2):
        done = clean_up(dry_run=False)
    assert done.removed["orphaned_transactions"] == 0
    assert {"transactions", "snapshots", "idempotency_records", "imports"} <= set(done.unfinished)
    assert "Not gone through to the end" in done.in_words()[-1]
    assert clean_up(dry_run=False).removed["orphaned_transactions"] == 1


def test_where_time_runs_out_snapshots_are_not_said_to_be_gone_through(bank: Bank) -> None:
    with within(ENOUGH / 2):
        assert "snapshots" in cleanup.cleanup().unfinished
    assert cleanup.cleanup().unfinished == []


def test_counts_of_retries_go_some_time_after_the_last_one(bank: Bank, sweeper: psycopg.Connection) -> None:
    for command_id, ago in ((STRANGER, "10 years"), (STRANGER[:-1] + "6", "1 minute")):
        sweeper.execute("INSERT INTO idempotency_retries VALUES (%s, 1, 0, now() - %s::interval)", (command_id, ago))

    cleanup.cleanup()

    rows = sweeper.execute("SELECT command_id::text FROM idempotency_retries").fetchall()
    assert rows == [(STRANGER[:-1] + "6",)]


def test_all_that_is_past_its_retention_goes_at_once(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "BATCH", 1)
    bank.do(Deposit(bank.open(), Money(100, "EUR")), key="young")
    for number in range(130):
        sweeper.execute(copy_of("idempotency_records", key=f"old-{number}", created_at="2001-02-03"))
    done = cleanup.cleanup()
    assert (done.removed["idempotency_records"], done.unfinished) == (130, [])
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]


def test_each_batch_of_old_records_goes_on_where_the_last_one_ended(
    bank: Bank, sweeper: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pages of the table that are read: some for each record, however many records there were before it."""
    monkeypatch.setattr(cleanup, "BATCH", 1)
    bank.do(Deposit(bank.open(), Money(100, "EUR")), key="young")
    sweeper.execute(
        "INSERT INTO idempotency_records SELECT scope, 'old-' || n, fingerprint, command_id, aggregate_id, result,"
        " '2001-02-03' FROM (SELECT * FROM idempotency_records LIMIT 1) r, generate_series(1, 600) n"
    )
    sweeper.execute("ANALYZE idempotency_records")

    with transaction.atomic():
        before = pages_read()
        done = cleanup.cleanup()
        read = pages_read() - before

    assert done.removed["idempotency_records"] == 600
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["young"]
    assert read < 600 * 5


def pages_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_blocks_fetched('idempotency_records'::regclass)")
        return int(cursor.fetchone()[0])


def test_the_recurring_cleanup_leaves_orphans_for_a_person_to_look_at(
    history: Bank, sweeper: psycopg.Connection
) -> None:
    sweeper.execute(ORPHANS["accounts"])
    cleanup.cleanup()
    assert orphans.remove(dry_run=True).rows["accounts"] == 1


def test_sessions_of_browsers_go_when_they_have_run_out(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    signed_in(make_staff("viewer"))
    signed_in(make_staff("teller"))
    old, young = StaffSession.objects.order_by("expire_date")
    StaffSession.objects.filter(pk=old.pk).update(expire_date=timezone.now() - timedelta(minutes=1))

    call_command("cleanup", "--dry-run")
    assert removed(capsys.readouterr().out) == {"sessions": 1}
    assert StaffSession.objects.count() == 2
    call_command("cleanup")
    assert removed(capsys.readouterr().out) == {"sessions": 1}
    assert StaffSession.objects.get() == young


def test_of_ended_incidents_the_newest_are_kept_and_open_ones_and_resolutions_always(
    db: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(incidents, "KEPT", 3)
    now = timezone.now()
    for number in range(8):
        ended = None if number == 0 else now
        Incident.objects.create(kind="blocking", subject=f"{number}", began_at=now, last_seen_at=now, ended_at=ended)
    Resolution.objects.create(action="cancel", outcome="done", actor="system:monitor", reason="x")

    call_command("cleanup", "--dry-run")
    assert removed(capsys.readouterr().out) == {"incidents": 4}
    assert Incident.objects.count() == 8
    call_command("cleanup")
    assert removed(capsys.readouterr().out) == {"incidents": 4}
    assert sorted(Incident.objects.values_list("subject", flat=True)) == ["0", "5", "6", "7"]
    assert Resolution.objects.count() == 1
