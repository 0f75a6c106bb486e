"""Connections that are lost at the worst moment."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.database.exchange import Answer, Exchange


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """The process is there and does nothing; its connections stay open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def may_halt(pid: int) -> bool:
    return os.geteuid() == 0 or Path(f"/proc/{pid}").stat().st_uid == os.geteuid()


def lose_the_next_commit(monkeypatch: pytest.MonkeyPatch, sweeper: psycopg.Connection) -> None:
    """The session of the next transaction is ended when its COMMIT has been sent: nobody knows what became of it."""
    send = Exchange.send

    def losing(self: Exchange, sql: str, *arguments: Any, **how: Any) -> Answer:
        told = send(self, sql, *arguments, **how)
        if sql == "COMMIT":
            monkeypatch.undo()
            self._pgconn.flush()
            sweeper.execute("SELECT pg_terminate_backend(%s, 5000)", (self._connection.info.backend_pid,))
        return told

    monkeypatch.setattr(Exchange, "send", losing)
