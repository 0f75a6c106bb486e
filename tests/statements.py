"""What is sent to PostgreSQL, seen on its way and passed on."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ops.database import exchange

Since = Callable[[], int]


def counted(monkeypatch: pytest.MonkeyPatch, about: str = "") -> Since:
    """How many statements that hold `about` were sent since the last time it was asked."""
    sent: list[str] = []
    execute, name_of = psycopg.Cursor.execute, exchange._name_of

    def executing(self: psycopg.Cursor, query: Any, *args: Any, **kwargs: Any) -> psycopg.Cursor:
        sent.append(str(query))
        return execute(self, query, *args, **kwargs)

    def naming(sql: str) -> bytes:
        sent.append(sql)
        return name_of(sql)

    def since() -> int:
        count = sum(about in statement for statement in sent)
        sent.clear()
        return count

    monkeypatch.setattr(psycopg.Cursor, "execute", executing)
    monkeypatch.setattr(exchange, "_name_of", naming)
    return since
