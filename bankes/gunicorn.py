"""How gunicorn serves the bank. HOST and PORT (default 127.0.0.1 and 3000) are its own two settings.

Two workers with eight threads each. The application is loaded in each worker and not before the fork: a
database pool that was opened earlier would be shared by all of them.
"""

import http.client
import os
import threading
import time
from typing import Any

from prometheus_client import multiprocess

from ops.service import StopRequest

_host = os.environ.get("HOST") or "127.0.0.1"
_port = os.environ.get("PORT") or "3000"
_local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(_host, _host)  # noqa: S104 - as seen from this machine

bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = 2
worker_class = "gthread"
threads = 8
preload_app = False
graceful_timeout = 10
"""Seconds that requests in flight get when the server is told to stop."""
timeout = 60
keepalive = 5
control_socket_disable = True
accesslog = None  # the application logs each request itself, with who and why


def child_exit(server: Any, worker: Any) -> None:
    """Take the gauges of a worker that ended out of the metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)


def when_ready(server: Any) -> None:
    """Under systemd, a sign of life for as long as it answers (gunicorn itself says only that it is ready)."""
    microseconds = os.environ.get("WATCHDOG_USEC")
    if microseconds and os.environ.get("NOTIFY_SOCKET"):
        pause = int(microseconds) / 3e6
        threading.Thread(target=_tell_while_it_answers, args=(pause,), name="watchdog", daemon=True).start()


def _tell_while_it_answers(pause: float) -> None:
    stop = StopRequest(os.environ["NOTIFY_SOCKET"], None)
    while True:
        connection = http.client.HTTPConnection(_local, int(_port), timeout=pause)
        try:
            connection.request("GET", "/health/live", headers={"Host": "localhost"})
            if connection.getresponse().status == 200:
                stop.tell("WATCHDOG=1")
        except OSError:
            pass  # not answering: silence is the message
        finally:
            connection.close()
        time.sleep(pause)
