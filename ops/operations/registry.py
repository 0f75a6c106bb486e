"""Registering operations, and listing those in hand."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from uuid_utils.compat import uuid7

from ops import board

RESOURCES_SHOWN = 8
"""Most resources named on the board; a batch of thousands says how many there are."""

_current: ContextVar["Operation | None"] = ContextVar("operation", default=None)


class Operation:
    """Something in hand. Its public fields are what the board shows; change them by `step` and `uses_database`."""

    __slots__ = ("_document", "_slot", "deadline", "id", "kind", "started")

    def __init__(
        self, kind: str, name: str, *, timeout: float | None, resources: Sequence[object], actor: str
    ) -> None:
        self.id = str(uuid7())
        self.kind = kind
        self.started = time.time()
        self.deadline = self.started + timeout if timeout is not None else None
        self._document: dict[str, Any] = {
            "id": self.id,
            "kind": kind,
            "name": name,
            "resources": [str(resource) for resource in resources[:RESOURCES_SHOWN]],
            "resource_count": len(resources),
            "actor": actor,
            "started": self.started,
            "deadline": self.deadline,
            "step": "",
            "step_since": self.started,
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            "database_pid": None,
        }
        self._slot = board.take_slot()
        self._slot.write(self._document)

    def step(self, name: str) -> None:
        """Says what it is doing now: "locking", "deciding", "writing"."""
        self._document["step"] = name
        self._document["step_since"] = time.time()
        self._slot.write(self._document)

    def uses_database(self, backend_pid: int | None) -> None:
        """Says by which PostgreSQL backend it works, so that its locks can be told."""
        self._document["database_pid"] = backend_pid
        self._slot.write(self._document)

    def end(self) -> None:
        self._slot.free()


@contextmanager
def operation(
    kind: str, name: str, *, timeout: float | None = None, resources: Sequence[object] = (), actor: str = ""
) -> Iterator[Operation]:
    """Registers what the block does. `kind` is one of few words ("command", "batch", "job", "admin"); `timeout`:
    seconds after which it counts as stuck, None for work that may take as long as it takes."""
    begun = Operation(kind, name, timeout=timeout, resources=resources, actor=actor)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)
        begun.end()


def current() -> Operation | None:
    """The operation that this thread (or task) is in."""
    return _current.get()


def step(name: str) -> None:
    """Says what the current operation is doing; nothing where there is none."""
    if begun := _current.get():
        begun.step(name)


def active() -> list[dict[str, Any]]:
    """Operations in hand in all processes, oldest first: the fields of `Operation`, with `age` in seconds and the
    `process` that they are in."""
    now = time.time()
    found = [
        slot | {"age": max(0.0, now - slot["started"]), "process": seen.process}
        for seen in board.boards()
        for slot in seen.slots
    ]
    return sorted(found, key=lambda slot: slot["started"])
