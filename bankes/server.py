"""The web server: `python -m bankes.server`. HOST and PORT (default 127.0.0.1 and 3000) are its own two settings.

Two worker processes of Granian. HTTP is read and written by Granian's own threads, outside of Python's lock, and what
has come goes through an event loop to a thread, see `bankes.rsgi`. The application is loaded in each worker and not
before: a database pool that was opened earlier would be shared.
"""

import ctypes
import http.client
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

from ops.process import collect_rarely
from ops.service import StopRequest

HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = int(os.environ.get("PORT") or "3000")
WORKERS = 2
STOP_WITHIN = 10
"""Seconds that requests in flight get when the server is told to stop."""
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104 - as seen from this machine
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    multiprocessing.set_start_method("spawn")  # a fork would copy the locks of the thread that talks to systemd
    server = granian("bankes.rsgi:application")
    if address := os.environ.get("NOTIFY_SOCKET"):
        systemd = StopRequest(address, None)
        server.on_shutdown(lambda: systemd.tell("STOPPING=1"))
        threading.Thread(target=_tell_while_it_answers, args=(systemd,), name="watchdog", daemon=True).start()
    server.serve(target_loader=load, wrap_loader=False)


def granian(target: str) -> Any:
    """Granian as it serves the bank, or another RSGI application."""
    return Granian(
        target,
        address=HOST,
        port=PORT,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        workers=WORKERS,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_WITHIN,
        log_level=LogLevels.warning,  # the application logs each request itself, with who and why
        log_access=False,
    )


def load() -> Any:
    """The application, in a worker, which ends with the server even if that is killed."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    from bankes.rsgi import application

    collect_rarely()
    return application


def _tell_while_it_answers(systemd: StopRequest) -> None:
    """READY once it answers; then, where a watchdog waits, a sign of life for as long as it goes on answering."""
    microseconds = int(os.environ.get("WATCHDOG_USEC") or 0)
    pause = microseconds / 3e6 if microseconds else 0.0
    while not _answers(5.0):
        time.sleep(0.1)
    systemd.tell("READY=1")
    while pause:
        if _answers(pause):
            systemd.tell("WATCHDOG=1")
        time.sleep(pause)


def _answers(within: float) -> bool:
    connection = http.client.HTTPConnection(_LOCAL, PORT, timeout=within)
    try:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False  # silence is the message
    finally:
        connection.close()


if __name__ == "__main__":
    main()
