"""Registering operations, and listing those in hand."""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from uuid_utils.compat import uuid7

from ops import board, tracing
from ops.board import facts
from ops.operations import backend

RESOURCES_SHOWN = 8
"""Most resources named on the board; a batch of thousands says how many there are."""
NAME_SHOWN = 100
"""Characters of names and actors: an operation must fit its slot."""

_current: ContextVar["Operation | None"] = ContextVar("operation", default=None)


class Operation:
    """Something in hand. What the board shows of it is changed by `step`, `touches` and `uses_database`."""

    __slots__ = ("_document", "_slot", "_thread", "deadline", "id", "kind", "started")

    def __init__(
        self, kind: str, name: str, *, timeout: float | None, resources: Sequence[object], actor: str
    ) -> None:
        facts.start()
        self.id = str(uuid7())
        self.kind = kind
        self.started = time.time()
        self.deadline = self.started + timeout if timeout is not None else None
        self._thread = threading.get_native_id()
        in_use = backend.of_this_thread()
        self._document: dict[str, Any] = {
            "id": self.id,
            "kind": kind,
            "name": name[:NAME_SHOWN],
            "resources": [str(resource) for resource in resources[:RESOURCES_SHOWN]],
            "resource_count": len(resources),
            "actor": actor[:NAME_SHOWN],
            "started": self.started,
            "deadline": self.deadline,
            "step": "",
            "step_since": self.started,
            "pid": os.getpid(),
            "thread": self._thread,
            "database_pid": in_use.pid if in_use else None,
            "database_since": in_use.since if in_use else None,
        }
        self._slot = board.take_slot()
        self._slot.write(self._document)
        backend.watch(self)

    def step(self, name: str, resources: Sequence[object] | None = None) -> None:
        """Says what it is doing now ("locking", "deciding", "writing"), and to what, where that is known only now."""
        document = self._document
        document["step"] = name
        document["step_since"] = time.time()
        if resources is not None:
            document["resources"] = [str(resource) for resource in resources[:RESOURCES_SHOWN]]
            document["resource_count"] = len(resources)
        self._slot.write(document)

    def uses_database(self, in_use: "backend.Backend | None") -> None:
        """Says by which PostgreSQL backend it works, so that its locks can be told: `ops.database` does."""
        self._document["database_pid"] = in_use.pid if in_use else None
        self._document["database_since"] = in_use.since if in_use else None
        self._slot.write(self._document)

    def end(self) -> None:
        backend.forget(self)
        self._slot.free()


@contextmanager
def operation(
    kind: str, name: str, *, timeout: float | None = None, resources: Sequence[object] = (), actor: str = ""
) -> Iterator[Operation]:
    """Registers what the block does. `kind` is one of few words ("command", "batch", "job", "admin", "webhook");
    `timeout`: seconds after which it counts as stuck, None for work that may take as long as it takes."""
    begun = Operation(kind, name, timeout=timeout, resources=resources, actor=actor)
    token = _current.set(begun)
    try:
        with tracing.span(f"{kind} {name}", {"operation.id": begun.id, "operation.kind": kind}):
            yield begun
    finally:
        _current.reset(token)
        begun.end()


def current() -> Operation | None:
    """The operation that this thread (or task) is in."""
    return _current.get()


def step(name: str, resources: Sequence[object] | None = None) -> None:
    """Says what the current operation is doing; nothing where there is none."""
    if begun := _current.get():
        begun.step(name, resources)


def is_job(found: Mapping[str, Any]) -> bool:
    """Whether one of those in hand is a job: its transactions may last as long as it does."""
    return bool(found["kind"] == "job")


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
