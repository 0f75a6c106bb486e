"""A look into PostgreSQL goes on through what ends sessions there."""

import time

import psycopg
import pytest

from ops.detectors import looking

pytestmark = pytest.mark.usefixtures("db")


def test_a_look_after_the_server_has_ended_the_session_opens_another(sweeper: psycopg.Connection) -> None:
    (before,) = looking.rows("SELECT pg_backend_pid() AS pid")
    sweeper.execute("SELECT pg_terminate_backend(%s, 5000)", (before["pid"],))
    time.sleep(0.05)  # for its farewell to come

    (after,) = looking.rows("SELECT pg_backend_pid() AS pid")

    assert after["pid"] != before["pid"]
