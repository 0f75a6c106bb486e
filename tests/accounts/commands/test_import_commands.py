"""`manage.py import_commands` executes a file of commands, and goes on where it stopped."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Import
from eventstore.models import Event
from ops.models import ApiClient
from tests.bank import Bank
from tests.processes import wait_until


def deposit(account_id: UUID, amount: str = "1.00", **fields: Any) -> dict[str, Any]:
    return {"command": "deposit", "account_id": str(account_id), "amount": amount, "currency": "EUR", **fields}


def written(path: Path, *items: Any) -> str:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commands.ndjson"


def test_it_executes_the_file_once_however_often_it_is_run(
    bank: Bank, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account_id = bank.open()
    file = written(path, *[deposit(account_id)] * 501)

    call_command("import_commands", file)
    call_command("import_commands", file)

    key = hashlib.sha256(path.read_bytes()).hexdigest()
    told = f"Import {key}: 501 lines, 501 executed, 0 refused.\n"
    assert capsys.readouterr().out == told * 2
    assert bank.balance(account_id) == 50_100


def test_without_a_client_the_bank_acts_for_any_account_and_opens_its_own(bank: Bank, path: Path) -> None:
    account_id = bank.open(custodian="client:acme")
    opened = {"command": "open_account", "owner": "Eve", "currency": "EUR"}

    call_command("import_commands", written(path, deposit(account_id), opened), key="k")

    assert bank.balance(account_id) == 100
    assert Account.objects.get(owner="Eve").custodian == "bank"
    metadata = Event.objects.order_by("position").last().metadata  # type: ignore[union-attr]
    assert metadata["actor"].startswith("command:")
    assert (metadata["source"], metadata["reason"]) == ("command", "import k")


def test_for_a_client_it_reaches_what_the_client_does(bank: Bank, path: Path) -> None:
    ApiClient.objects.create(name="acme")
    own, other = bank.open(custodian="client:acme"), bank.open()

    with pytest.raises(CommandError) as refused:
        call_command("import_commands", written(path, deposit(own), deposit(other)), client="acme", key="k")

    assert "1 lines were refused" in str(refused.value)
    assert f"line 2: There is no account {other}" in str(refused.value) or "line 2: " in str(refused.value)
    assert (bank.balance(own), bank.balance(other)) == (100, 0)
    assert Import.objects.get().scope == "client:acme"


def test_a_client_whose_reach_is_changed_meanwhile_ends_it(
    bank: Bank, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ApiClient.objects.create(name="acme", reach="all")
    other = bank.open()

    def slowly(file: IO[bytes]) -> Iterator[bytes]:
        yield file.readline()
        ApiClient.objects.update(reach="own")
        yield file.read()

    monkeypatch.setattr("accounts.services.imports.CHUNK", 1)
    monkeypatch.setattr("accounts.management.commands.import_commands._pieces", slowly)
    with pytest.raises(CommandError, match=r"What follows line 1 was not executed: .*import_reach_changed"):
        call_command("import_commands", written(path, deposit(other), deposit(other)), client="acme", key="k")

    assert (bank.balance(other), Import.objects.get().position) == (100, 1)


@pytest.mark.parametrize("client", ["nobody", "gone"])
def test_a_client_that_is_not_there_or_not_active_is_refused(bank: Bank, path: Path, client: str) -> None:
    ApiClient.objects.create(name="gone", is_active=False)
    file, before = written(path, deposit(bank.open())), bank.footprint()

    with pytest.raises(CommandError, match=f"no active API client {client}"):
        call_command("import_commands", file, client=client)

    assert bank.footprint() == before


def test_a_file_that_is_not_there_is_named(db: None) -> None:
    with pytest.raises(CommandError, match="/nowhere cannot be read: No such file"):
        call_command("import_commands", "/nowhere")


@pytest.mark.parametrize("key", ["a b", "a/b", "x" * 201])
def test_a_key_that_is_none_is_refused(bank: Bank, path: Path, key: str) -> None:
    with pytest.raises(CommandError, match="Give --key"):
        call_command("import_commands", written(path, deposit(bank.open())), key=key)
    assert not Import.objects.exists()


def test_another_file_under_the_same_key_is_refused(bank: Bank, path: Path) -> None:
    account_id = bank.open()
    call_command("import_commands", written(path, deposit(account_id)), key="k")
    before = bank.footprint()

    with pytest.raises(CommandError, match="another file was begun"):
        call_command("import_commands", written(path, deposit(account_id, "2.00")), key="k")

    assert bank.footprint() == before


def test_a_pipe_can_be_imported_under_a_key(bank: Bank) -> None:
    account_id = bank.open()
    line = json.dumps(deposit(account_id)).encode() + b"\n"

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "manage.py", "import_commands", "-", *arguments]
        return subprocess.run(command, input=line * 3, capture_output=True, check=False, timeout=60)

    assert run().returncode == 1
    assert bank.balance(account_id) == 0
    assert run("--key", "k").returncode == 0
    assert bank.balance(account_id) == 300


def test_killed_in_the_middle_it_goes_on_and_executes_nothing_twice(bank: Bank, path: Path) -> None:
    account_id = bank.open()
    file = written(path, *[deposit(account_id, "0.01")] * 6000)
    process = subprocess.Popen([sys.executable, "manage.py", "import_commands", file, "--key", "k"], env=os.environ)
    try:
        wait_until(lambda: (Import.objects.values_list("position", flat=True).first() or 0) >= 500, 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert Import.objects.get().position < 6000, "it was killed too late"

    call_command("import_commands", file, key="k", stdout=io.StringIO())

    record = Import.objects.get()
    assert (record.position, record.executed, record.refused) == (6000, 6000, 0)
    assert bank.balance(account_id) == 6000
    assert Event.objects.filter(aggregate_id=account_id).count() == 6001


def test_the_role_of_the_bank_cannot_rewrite_a_refusal(bank: Bank, path: Path) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("UPDATE import_refusals SET line = 1")
