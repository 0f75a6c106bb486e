"""Sessions of PostgreSQL that a drill makes: the application's own, by name and role, outside of its pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ops.conf import get_settings
from ops.process import application_name


@contextmanager
def session() -> Iterator[psycopg.Connection[Any]]:
    """Without any time limit, as a script that somebody wrote in haste has none."""
    config = get_settings().database_parameters()
    connection = psycopg.connect(
        dbname=str(config["NAME"]),
        user=str(config["USER"]),
        password=str(config["PASSWORD"]),
        host=str(config["HOST"]),
        port=int(config["PORT"]),
        application_name=application_name(),
        connect_timeout=5,
    )
    try:
        yield connection
    finally:
        connection.close()
