"""The pool heals at once after its connections were lost."""

import threading
import time

import psycopg
from django.db import connection

from tests.bank import Bank
from tests.threads import together

CONNECTIONS = 12


def test_after_all_connections_are_lost_the_next_caller_is_served_soon(
    bank: Bank, sweeper: psycopg.Connection
) -> None:
    everyone_has_one = threading.Barrier(CONNECTIONS)

    def take_one() -> None:
        connection.ensure_connection()
        everyone_has_one.wait(timeout=20)

    together([take_one] * CONNECTIONS)
    connection.close()
    killed = sweeper.execute(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename <> 'postgres'"
    ).fetchone()
    assert killed is not None
    assert killed[0] >= CONNECTIONS - 1

    began = time.monotonic()
    account_id = bank.open("5.00")
    took = time.monotonic() - began

    assert bank.balance(account_id) == 500
    assert took < 4, f"{took:.1f} s"
