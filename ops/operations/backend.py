"""Which PostgreSQL backend a thread works with: told by `ops.database` whenever a thread takes or returns one.

The operations that a thread is in are told too, so that none of them is ever shown with a backend that has gone to
somebody else: by what is shown here, backends are ended.
"""

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ops.operations.registry import Operation


class Backend(NamedTuple):
    """Process id of the backend, and when it began as PostgreSQL tells it (ISO 8601): together they are unique."""

    pid: int
    since: str


class _Thread(threading.local):
    backend: Backend | None = None
    operations: "tuple[Operation, ...]" = ()


_thread = _Thread()


def of_this_thread() -> Backend | None:
    return _thread.backend


def takes(backend: Backend | None) -> None:
    """This thread works with `backend` from now on; None: with none."""
    _thread.backend = backend
    for operation in _thread.operations:
        operation.uses_database(backend)


def watch(operation: "Operation") -> None:
    """The operation is this thread's, and is told of its backends."""
    _thread.operations = (*_thread.operations, operation)


def forget(operation: "Operation") -> None:
    _thread.operations = tuple(other for other in _thread.operations if other is not operation)
