"""PostgreSQL's array literals, made whole.

psycopg adapts a list item by item, in Python, and escapes each text by a regular expression: for a batch of small
commands that cost more than deciding them. These are for arrays of one dimension without NULLs; cast them in the
statement (`%s::uuid[]`).
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID


def plain(values: Iterable[UUID | int | str]) -> str:
    """Of ids (also as text) or numbers: nothing in them needs quotes."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str]) -> str:
    """Of any text without NUL, which PostgreSQL's text cannot hold (it refuses the statement)."""
    return "{" + ",".join(['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]) + "}"


def hexes(values: Iterable[bytes]) -> str:
    """Of bytea."""
    return "{" + ",".join(['"\\\\x' + value.hex() + '"' for value in values]) + "}"


def moments(values: Iterable[datetime]) -> str:
    """Of timestamptz; aware datetimes."""
    return "{" + ",".join(['"' + value.isoformat() + '"' for value in values]) + "}"
