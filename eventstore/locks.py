"""Named advisory locks of PostgreSQL. The feed's own (see sql/functions/hold_feed.sql) has another top byte."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


def advisory_key(name: str) -> int:
    """The lock of a name: 56 bits of its SHA-256, so that the top byte is zero."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


@contextmanager
def session_lock(name: str) -> Iterator[bool]:
    """Tries to hold a lock for the block, over any number of transactions on this thread's connection.

    Gives whether it was had. It goes with the connection: a process that dies holds nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (advisory_key(name),))
        (held,) = cursor.fetchone()
    try:
        yield held
    finally:
        if held and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (advisory_key(name),))
