"""A backup of PostgreSQL, restored as the manual says, is the whole bank: its books agree, it goes on where they end,
and its roles may do what they might."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import errors, sql

from ops.embedded.binaries import find_postgres
from tests.bank import Bank

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = find_postgres(os.environ, None)
RESTORED = "restored"

pytestmark = pytest.mark.skipif(not POSTGRES["pg_dump"].exists(), reason="this PostgreSQL comes without pg_dump")


def restored_url(variable: str) -> str:
    return urlsplit(os.environ[variable])._replace(path=f"/{RESTORED}").geturl()


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def manage(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": restored_url("DATABASE_URL")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def new_database(sweeper: psycopg.Connection) -> Iterator[None]:
    """Empty, with the roles' rights in it."""
    sweeper.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(RESTORED)))
    try:
        with psycopg.connect(restored_url("DATABASE_SUPERUSER_URL"), autocommit=True) as administrator:
            administrator.execute((ROOT / "deploy/roles.sql").read_bytes())
        yield
    finally:
        sweeper.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(RESTORED)))


def test_a_restored_backup_is_the_whole_bank(bank: Bank, new_database: None, tmp_path: Path) -> None:
    ann, bob = bank.open("100.00"), bank.open("5.00")
    bank.transfer(ann, bob, "30.00")
    bank.hold(ann, "20.00")
    backup = tmp_path / "bank.dump"
    run(POSTGRES["pg_dump"], "--format=custom", f"--file={backup}", os.environ["DATABASE_SUPERUSER_URL"])
    bank.deposit(ann, "1.00")

    run(POSTGRES["pg_restore"], "--exit-on-error", "--dbname", restored_url("DATABASE_SUPERUSER_URL"), backup)

    proof = manage("verify_ledger")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    commands = tmp_path / "commands.ndjson"
    commands.write_text(
        f'{{"command": "withdraw", "account_id": "{ann}", "amount": "50.00", "currency": "EUR"}}\n' * 2
    )
    manage("import_commands", str(commands), "--key", "after-the-restore")
    with psycopg.connect(restored_url("DATABASE_URL"), autocommit=True) as app:
        balances = app.execute("SELECT balance, held FROM accounts WHERE id = %s", [ann]).fetchone()
        assert balances == (20_00, 20_00), "one withdrawal more than is available is refused"
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute("UPDATE events SET data = data")
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute("DELETE FROM events")
    again = manage("verify_ledger")
    assert again.returncode == 0, again.stdout + again.stderr
    assert bank.balance(ann) == 71_00, "the bank that was backed up goes on by itself"
