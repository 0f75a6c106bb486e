"""How gunicorn serves the bank. HOST and PORT (default 127.0.0.1 and 3000) are its own two settings.

Two workers with eight threads each. The application is loaded in each worker and not before the fork: a
database pool that was opened earlier would be shared by all of them.
"""

import os
from typing import Any

from prometheus_client import multiprocess

_host = os.environ.get("HOST") or "127.0.0.1"
_port = os.environ.get("PORT") or "3000"

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
