"""One generation of the web server, begun by `bankes.server`: worker processes of Granian, of the code that stands
there when it begins.

HTTP is read and written by Granian's own threads, outside of Python's lock, and what has come goes through an event
loop to a thread, see `bankes.rsgi`. The application is loaded in each worker and not before: a database pool that was
opened earlier would be shared.
"""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any
from wsgiref.util import setup_testing_defaults

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from granian.net import SocketHolder

from bankes.server import BACKLOG, LEAVE, STOP_WITHIN
from ops.process import collect_rarely

_PR_SET_PDEATHSIG = 1


def serve(parent: int, ready: int, *listening: int) -> None:
    """Serves what comes in at these sockets until SIGTERM or SIGINT. Each worker that can answer writes a byte to the
    pipe `ready`."""
    _end_with(parent)
    multiprocessing.set_start_method("spawn")  # a fork would copy the locks of other threads
    server = granian("bankes.rsgi:application", [socket.socket(fileno=number) for number in listening])
    server.on_startup(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # it is `bankes.server` that is asked
    signal.signal(LEAVE, lambda *_: _pass_on(server))
    server.serve(target_loader=partial(load, Connection(ready, readable=False)), wrap_loader=False)


def granian(target: str, listening: Sequence[socket.socket]) -> Any:
    """Granian as it serves the bank, or another RSGI application: a worker for each socket."""
    server = _OnSockets(
        target,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        workers=len(listening),
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_WITHIN,
        log_level=LogLevels.warning,  # the application logs each request itself, with who and why
        log_access=False,
    )
    server.listening = listening
    return server


class _OnSockets(Granian):  # type: ignore[misc,valid-type]
    """Granian makes a socket for each worker, which ends with it, and with it the connections that wait there: here
    they outlive the worker, and the one that comes after it finds them."""

    listening: Sequence[socket.socket]
    _sso: Any
    _shd: Any

    def _init_shared_socket(self) -> None:
        self._ssp = self._shd = self._sso = None

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        self._sso = self.listening[idx]
        self._shd = SocketHolder(self._sso.fileno(), False, BACKLOG)  # type: ignore[call-arg]
        return super()._spawn_worker(idx, target, callback_loader)

    def _drop_shared_socket(self) -> None:
        self._sso = None


def load(ready: Connection) -> Any:
    """The application, in a worker, which ends with the server even if that is killed. It has answered once."""
    signal.signal(LEAVE, signal.SIG_IGN)  # until it has anything to leave
    _end_with(os.getppid())
    from bankes.rsgi import application
    from bankes.wsgi import application as wsgi

    _try_out(wsgi)
    collect_rarely()
    with suppress(OSError):  # nobody asks those that take the place of one that died
        os.write(ready.fileno(), b".")
    return application


def _try_out(wsgi: Any) -> None:
    """
    Raises:
        RuntimeError: it does not answer.
    """
    answered: list[str] = []
    environ = {"PATH_INFO": "/health/live", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    answer = wsgi(environ, lambda status, *_: answered.append(status))
    answer.close()
    if not answered[0].startswith("200"):
        raise RuntimeError(f"The application answers {answered[0]}.")


def _end_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("The web server ended before its workers began.")


def _pass_on(server: Any) -> None:
    for worker in server.wrks:
        with suppress(ProcessLookupError):
            os.kill(worker.inner.pid, LEAVE)
