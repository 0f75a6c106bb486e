"""`manage.py terminate_transactions`: lists first, asks why, spares what is not the bank's, and leaves a record."""

import os
import time
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import CommandError, call_command

from ops.conf import get_settings
from ops.detectors import looking
from ops.models import AuditEntry, Resolution
from tests.bank import Bank


@pytest.fixture(autouse=True)
def own_eye(db: None) -> Iterator[None]:
    yield
    looking.close()


def transaction(url: str, name: str) -> psycopg.Connection:
    conn = psycopg.connect(url, application_name=name)
    conn.execute("SELECT 1")
    return conn


@pytest.fixture
def own(bank: Bank) -> Iterator[psycopg.Connection]:
    """A transaction of the bank that somebody left open."""
    with transaction(get_settings().database_url.get_secret_value(), "bankes:web") as conn:
        time.sleep(0.15)
        yield conn


@pytest.fixture
def foreign(bank: Bank) -> Iterator[psycopg.Connection]:
    """One of the application's role that is not the bank's: a person with psql."""
    with transaction(get_settings().database_url.get_secret_value(), "psql") as conn:
        time.sleep(0.15)
        yield conn


@pytest.fixture
def administrator(bank: Bank) -> Iterator[psycopg.Connection]:
    with transaction(os.environ["DATABASE_SUPERUSER_URL"], "psql") as conn:
        yield conn


def lives(conn: psycopg.Connection) -> bool:
    try:
        return conn.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def test_the_bank_s_own_long_transactions_are_ended_and_that_is_on_record(
    own: psycopg.Connection, foreign: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = own.info.backend_pid
    call_command("terminate_transactions", "--older-than", "0.1", "--reason", "the feed stood still")

    told = capsys.readouterr().out
    assert "1 ended, 0 had finished by then, 0 refused" in told
    assert "1 are not the bank's and are left alone" in told
    assert not lives(own)
    assert lives(foreign)
    [done] = Resolution.objects.all()
    assert (done.action, done.outcome, done.pid) == ("terminate", "done", pid)
    assert (done.reason, done.actor[:8]) == ("the feed stood still", "command:")
    assert AuditEntry.objects.get(action="terminate").reason == "the feed stood still"


def test_a_dry_run_lists_and_ends_nothing(own: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("terminate_transactions", "--older-than", "0.1", "--dry-run")
    told = capsys.readouterr().out
    assert str(own.info.backend_pid) in told
    assert "1 sessions would be ended. Nothing was done" in told
    assert lives(own)
    assert not Resolution.objects.exists()


def test_younger_ones_are_left_alone(own: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("terminate_transactions", "--older-than", "300", "--reason", "x")
    assert "0 ended" in capsys.readouterr().out
    assert lives(own)


def test_one_session_by_its_number_and_its_statement_only(own: psycopg.Connection) -> None:
    pid = str(own.info.backend_pid)
    call_command("terminate_transactions", "--pid", pid, "--cancel", "--reason", "x")
    assert lives(own), "it had no statement under way, and keeps its session"
    call_command("terminate_transactions", "--pid", pid, "--reason", "x")
    assert not lives(own)
    assert [done.action for done in Resolution.objects.order_by("id")] == ["cancel", "terminate"]


def test_force_takes_others_of_the_same_role_too(own: psycopg.Connection, foreign: psycopg.Connection) -> None:
    call_command("terminate_transactions", "--older-than", "0.1", "--force", "--reason", "all of them")
    assert (lives(own), lives(foreign)) == (False, False)


def test_another_role_s_session_is_refused_by_postgresql_and_the_remedy_is_told(
    administrator: psycopg.Connection,
) -> None:
    pid = str(administrator.info.backend_pid)
    with pytest.raises(CommandError, match="DATABASE_URL of the owner or of an administrator"):
        call_command("terminate_transactions", "--pid", pid, "--force", "--reason", "x")
    assert lives(administrator)
    assert Resolution.objects.get().outcome == "refused"
    assert AuditEntry.objects.get(action="terminate").outcome == "refused"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--older-than", "300"], "say why with --reason"),
        (["--reason", "x"], "give either --older-than SECONDS or --pid N"),
        (["--older-than", "1", "--pid", "1", "--reason", "x"], "give either --older-than SECONDS or --pid N"),
        (["--older-than", "0", "--reason", "x"], "must be above 0 seconds"),
        (["--pid", "1", "--reason", "x"], "there is no session 1 in this database"),
    ],
)
def test_what_cannot_be_is_refused_and_ends_nothing(
    own: psycopg.Connection, options: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("terminate_transactions", *options)
    assert lives(own)
    assert not Resolution.objects.exists()
