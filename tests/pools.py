"""Taking all connections of this process's pool."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from psycopg_pool import PoolTimeout


@contextmanager
def all_connections_taken(*, patience: float | None = None) -> Iterator[None]:
    """Nobody else gets a connection; with `patience`, whoever asks waits only so many seconds."""
    pool = connection.pool
    assert pool is not None
    connection.close()
    held = []
    waits = pool.timeout
    try:
        while True:
            try:
                held.append(pool.getconn(timeout=1.0))
            except PoolTimeout:
                break
        pool.timeout = waits if patience is None else patience
        yield
    finally:
        pool.timeout = waits
        for conn in held:
            pool.putconn(conn)
