"""Named advisory locks of PostgreSQL, and families of them that a part of the bank takes by numbers of its own.

A named lock's top byte is zero; a family's is its mark, by which the detectors know it in pg_locks.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Family:
    """Advisory locks that should be held for a moment only: `most` seconds."""

    mark: int
    name: str
    most: float


_families: dict[int, Family] = {}


def register_family(family: Family) -> None:
    """Has `ops.detectors.long_transactions` tell who holds a lock of this family for too long.

    Raises:
        ValueError: the mark is taken, or is that of named locks.
    """
    if family.mark == 0 or _families.get(family.mark, family) != family:
        raise ValueError(f"advisory locks with mark {family.mark} belong to something else")
    _families[family.mark] = family


def families() -> dict[int, Family]:
    return dict(_families)


def advisory_key(name: str) -> int:
    """The lock of a name: 56 bits of its SHA-256, so that the top byte is zero."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


@contextmanager
def session_lock(name: str, *, shared: bool = False) -> Iterator[bool]:
    """Tries to hold a lock for the block, over any number of transactions on this thread's connection.

    Gives whether it was had. Any number may hold it `shared`, beside nobody who does not. It goes with the
    connection: a process that dies holds nothing.
    """
    kind = "_shared" if shared else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock{kind}(%s)", (advisory_key(name),))
        (held,) = cursor.fetchone()
    try:
        yield held
    finally:
        if held and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock{kind}(%s)", (advisory_key(name),))
