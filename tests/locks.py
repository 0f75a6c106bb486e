"""Somebody who works with a read model, and somebody who does not wait long for that."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from ops.conf import get_settings
from ops.database.locks import advisory_key


@contextmanager
def impatient() -> Iterator[None]:
    """This connection waits a tenth of a second for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
        try:
            yield
        finally:
            cursor.execute(f"SET lock_timeout = {get_settings().lock_timeout_ms}")


@contextmanager
def at_work_with(name: str, sweeper: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Another session that has a projection for itself until the block, or its transaction, ends."""
    with psycopg.connect(sweeper.info.dsn, password=sweeper.info.password) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key(f"projection:{name}"),))
        yield other
        other.rollback()
