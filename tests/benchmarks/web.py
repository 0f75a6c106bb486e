"""The web server as the launcher starts it for `make run`, and load on it from wrk."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops.embedded.bank import bank_children, is_live
from ops.embedded.layout import ROOT
from ops.embedded.processes import wrapped
from tests.benchmarks.figures import Figure

SCRIPT = Path(__file__).with_name("load.lua")
READY_WITHIN = 60.0


def require_wrk() -> str:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("Load over HTTP comes from wrk: install the package wrk.")
    return program


@contextmanager
def web_server(*, fast_lane: bool) -> Iterator[str]:
    """The bank's; its address, `http://host:port`. All settings but this one are the default ones."""
    with tempfile.TemporaryDirectory() as metrics:
        settings = {"PROMETHEUS_MULTIPROC_DIR": metrics, "FAST_LANE": str(fast_lane).lower()}
        spec = bank_children(os.environ | settings)[0]
        with _serving(spec.command, spec.environment, spec.directory) as url:
            yield url


@contextmanager
def bare_server() -> Iterator[str]:
    """The same web server, with nothing behind it."""
    with _serving([sys.executable, "-m", "tests.benchmarks.bare"], os.environ, ROOT) as url:
        yield url


@contextmanager
def _serving(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> Iterator[str]:
    """It logs to a file that is thrown away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            wrapped(list(command)),
            env={**environment, "HOST": "127.0.0.1", "PORT": str(port)},
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not is_live(("127.0.0.1", port)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("The web server did not come up.")
        time.sleep(0.1)


def load(url: str, kind: str, spread: str, clients: int, seconds: float, token: str, ids: Path) -> tuple[Figure, int]:
    """The figure (in requests a second) and how many requests were answered with 2xx."""
    command = [require_wrk(), "-t", str(min(clients, 2)), "-c", str(clients), "-d", f"{max(1, round(seconds))}s"]
    command += ["--timeout", "10s", "--latency", "-s", str(SCRIPT), url, "--"]
    command += [kind, spread, token, str(ids), secrets.token_hex(8)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((line for line in said.stdout.splitlines() if line.startswith("RESULT ")), None)
    if said.returncode or line is None:
        raise SystemExit(f"wrk did not run: {said.stdout}{said.stderr}")
    result = json.loads(line.removeprefix("RESULT "))
    answered = result["requests"] - result["status"]
    errors = result["status"] + result["socket"]
    return Figure(answered / result["seconds"], result["p50"], result["p99"], errors), answered
