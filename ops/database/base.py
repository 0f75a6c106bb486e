"""Django's PostgreSQL backend; its name is the setting DATABASES["default"]["ENGINE"]."""

from typing import Any

import psycopg
from django_prometheus.db.backends.postgresql import base
from psycopg_pool import ConnectionPool


def check_connection(connection: psycopg.Connection[Any]) -> None:
    """The pool's check of a connection before it is handed out.

    One dead connection is seldom alone: after a restart of the server all of them are. The pool would find them one
    by one, pausing a little longer after each (12 s for 20), so the first to be found has the rest looked through.
    """
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.Error:
        pool = connection._pool
        if isinstance(pool, ConnectionPool):
            pool.check()
        raise


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> ConnectionPool | None:
        pool: ConnectionPool | None = super().pool
        if pool is not None and pool._check is not None:
            pool._check = check_connection  # Django takes no check of our own
        return pool
