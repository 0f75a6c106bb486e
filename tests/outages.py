"""Connections that are lost at the worst moment."""

from typing import Any

import psycopg
import pytest


def lose_the_next_commit(monkeypatch: pytest.MonkeyPatch, sweeper: psycopg.Connection) -> None:
    """The session of the next transaction is ended when its COMMIT has been sent: nobody knows what became of it."""
    execute = psycopg.Cursor.execute

    def losing(self: psycopg.Cursor, query: Any, *args: Any, **kwargs: Any) -> Any:
        told = execute(self, query, *args, **kwargs)
        if query == "COMMIT" and self.connection is not sweeper:
            monkeypatch.undo()
            sweeper.execute("SELECT pg_terminate_backend(%s, 5000)", (self.connection.info.backend_pid,))
        return told

    monkeypatch.setattr(psycopg.Cursor, "execute", losing)
