"""What has happened cannot be altered: not by the application, not by the owner of the tables."""

import os

import psycopg
import pytest
from django.db import connection

from tests.bank import Bank

CHANGES = [
    "UPDATE events SET version = version + 1",
    "DELETE FROM events",
    "TRUNCATE events",
    "TRUNCATE events CASCADE",
    "DELETE FROM streams",
    "TRUNCATE streams",
    "UPDATE ops_auditentry SET reason = ''",
    "DELETE FROM ops_auditentry",
]
WAYS_ROUND = [
    "INSERT INTO events SELECT * FROM events",
    "INSERT INTO streams SELECT * FROM streams",
    "UPDATE streams SET version = version + 1",
    "SELECT nextval('events_position_seq')",
    "SELECT hold_feed()",
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "DROP TABLE events",
    "SET session_replication_role = replica",
    "UPDATE idempotency_records SET result = '{}'",
    "CREATE TABLE mine (id int)",
]


@pytest.mark.parametrize("statement", CHANGES + WAYS_ROUND)
def test_the_application_may_not(bank: Bank, statement: str) -> None:
    bank.open("10.00")
    before = bank.footprint()

    with pytest.raises(Exception, match=r"permission denied|must be owner|is refused"), connection.cursor() as cursor:
        cursor.execute(statement)

    assert bank.footprint() == before


@pytest.mark.parametrize("statement", CHANGES)
def test_the_owner_of_the_tables_may_not_either(bank: Bank, statement: str) -> None:
    bank.open("10.00")
    before = bank.footprint()

    with (
        psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="is refused"),
    ):
        owner.execute(statement)

    assert bank.footprint() == before
