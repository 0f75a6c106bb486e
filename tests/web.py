"""The web server as it is deployed, on the test database, for requests of the API."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_WITHIN = 30.0
ASKED = 12
"""Times, on a connection each: the kernel chooses the worker that answers, and each should have begun."""


@dataclass
class Web:
    """A running server."""

    url: str
    process: "subprocess.Popen[bytes]"

    def post(self, path: str, body: Any, *, token: str, key: str) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer, whatever it is."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/v1{path}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token}",
                "Idempotency-Key": key,
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@contextmanager
def web_server(directory: Path | None = None, log: Path | None = None) -> Iterator[Web]:
    """Of the code in `directory`, by default that of the tests; what it says goes to `log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "WARNING"}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    with ExitStack() as open_files:
        output = open_files.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(
            [sys.executable, "-m", "bankes.server"], env=environment, cwd=directory, stdout=output, stderr=output
        )
        try:
            yield _ready(Web(f"http://127.0.0.1:{port}", process))
        finally:
            process.kill()
            process.wait()


def _ready(web: Web) -> Web:
    deadline, answered = time.monotonic() + READY_WITHIN, 0
    while web.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{web.url}/health/live", timeout=READY_WITHIN):  # noqa: S310
                answered += 1
        except OSError:
            assert time.monotonic() < deadline, "the web server did not come up"
            time.sleep(0.1)
        if answered == ASKED:
            return web
    raise AssertionError("the web server ended")
