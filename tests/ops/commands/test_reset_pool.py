"""`manage.py reset_pool`: all processes get new connections, nobody's work is cut off, and it is on record."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ops.board import facts
from ops.database import pool_facts
from ops.models import AuditEntry, Resolution
from tests.bank import Bank
from tests.processes import wait_until

ELSEWHERE = """
import sys, django
django.setup()
from django.db import connection
connection.ensure_connection()
connection.close()
print("ready", flush=True)
for _ in sys.stdin:
    connection.ensure_connection()
    print(connection.connection.info.backend_pid, flush=True)
    connection.close()
"""


def test_connections_are_replaced_in_every_process_and_those_in_use_when_they_come_back(bank: Bank) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        wait_until(lambda: other.pid in {pool["process"]["pid"] for pool in pool_facts()})

        def theirs() -> set[str]:
            found = set()
            for _ in range(4):
                print(file=other.stdin, flush=True)
                found.add(other.stdout.readline())  # type: ignore[union-attr]
            return found

        connection.ensure_connection()
        mine, before = connection.connection.info.backend_pid, theirs()
        call_command("reset_pool", "--reason", "stale after the failover")
        after = theirs()

        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            assert cursor.fetchone() == (mine,), "work under way is not cut off"
        connection.close()
        connection.ensure_connection()
        assert connection.connection.info.backend_pid != mine
        assert not before & after
        other.stdin.close()
    [done] = Resolution.objects.all()
    assert (done.action, done.outcome, done.reason) == ("reset_pool", "done", "stale after the failover")
    assert AuditEntry.objects.get(action="reset_pool").subject == "pool"


def test_a_dry_run_lists_the_pools_and_resets_none(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    connection.ensure_connection()
    facts.tell()
    before = pool_facts()[0]["reset_at"]
    call_command("reset_pool", "--dry-run")
    assert "1 pools would be reset. Nothing was done" in capsys.readouterr().out
    facts.tell()
    assert pool_facts()[0]["reset_at"] == before
    assert not Resolution.objects.exists()


def test_where_no_process_is_seen_it_says_so_and_records_nothing(bank: Bank, tmp_path: Path) -> None:
    """As by hand, in an environment that is not the services' own."""
    command = [sys.executable, "manage.py", "reset_pool", "--reason", "stale after the failover"]
    ended = subprocess.run(
        command,
        env={**os.environ, "BOARD_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert f"Nothing was done: no process with a pool of connections tells of itself in BOARD_DIR ({tmp_path})" in (
        ended.stderr
    )
    assert not Resolution.objects.exists()


def test_it_asks_why(bank: Bank) -> None:
    with pytest.raises(CommandError, match="say why with --reason"):
        call_command("reset_pool")
    assert not Resolution.objects.exists()
