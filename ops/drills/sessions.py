"""Sessions of PostgreSQL that a drill makes: the application's own, by name and role, outside of its pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ops.process import application_name
from ops.timeouts.connection import own_database


@contextmanager
def session() -> Iterator[psycopg.Connection[Any]]:
    """Without any time limit, as a script that somebody wrote in haste has none."""
    connection = psycopg.connect(**own_database(), application_name=application_name(), connect_timeout=5)
    try:
        yield connection
    finally:
        connection.close()
