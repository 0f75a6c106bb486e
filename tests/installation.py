"""The bank as it is installed: web server and services as processes of their own, to be called over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ops.embedded.ports import kept_or_free
from ops.embedded.processes import wrapped

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN = 60.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
WEB = [sys.executable, "-m", "bankes.server"]


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0: nothing did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)


class Installation:
    """Processes that share an environment (settings) and a board."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.port = kept_or_free(None)
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "BOARD_DIR": os.environ["BOARD_DIR"],
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            "LOG_LEVEL": "WARNING",
            **environment,
        }
        self.log = folder / "installation.log"
        (folder / "metrics").mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self, *services: str) -> None:
        """ "web", or a command of manage.py with its arguments. Returns at once."""
        for name in services:
            command = WEB if name == "web" else [sys.executable, "manage.py", *name.split(), "--skip-checks"]
            with self.log.open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    wrapped(command, orphan_signal=signal.SIGKILL),
                    cwd=ROOT,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def manage(self, *words: str, within: float = 120, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command of manage.py, to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        return self._processes[name]

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the service and whatever it started."""
        try:
            os.killpg(self._processes[name].pid, number)
        except ProcessLookupError:
            return

    def call(self, path: str, method: str = "GET", within: float = 30.0, **headers: str) -> Answer:
        request = urllib.request.Request(f"{self.url}{path}", method=method, headers=headers)  # noqa: S310
        began = time.monotonic()
        try:
            with DIRECT.open(request, timeout=within) as found:
                return Answer(found.status, found.headers, found.read(), time.monotonic() - began)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read(), time.monotonic() - began)
        except OSError:
            return Answer(0, seconds=time.monotonic() - began)

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while self.call("/health/live", within=5).status != 200:
            lives = self._processes["web"].poll() is None and time.monotonic() < deadline
            assert lives, f"it does not come up:\n{self.said()}"
            time.sleep(0.1)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def stop(self) -> None:
        """In order; what does not end in time is killed."""
        for name, process in self._processes.items():
            self.signal(name, signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + 15
        for name, process in self._processes.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.signal(name, signal.SIGKILL)
                process.wait()


@contextmanager
def installed(*services: str, **environment: str) -> Iterator[Installation]:
    """The bank with these services until the block is left; it serves when the block begins."""
    with TemporaryDirectory(prefix="installation-") as folder:
        installation = Installation({name.upper(): value for name, value in environment.items()}, Path(folder))
        try:
            installation.start("web", *services)
            installation.wait_until_it_serves()
            yield installation
        finally:
            installation.stop()
