"""A real web server on the test database, for a real browser."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
READY_WITHIN = 30.0


@contextmanager
def running_server() -> Iterator[str]:
    """Its URL. The static files are collected into a place of its own, so that runs do not disturb each other."""
    with TemporaryDirectory(prefix="page-tests-", dir=VAR) as own:
        environment = os.environ | {"STATIC_ROOT": f"{own}/static", "LOG_LEVEL": "WARNING"}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        manage = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(manage, cwd=ROOT, env=environment, check=True, timeout=120)
        port, log = _free_port(), Path(own) / "server.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bankes.server"],
                cwd=ROOT,
                env=environment | {"HOST": "127.0.0.1", "PORT": str(port)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_until_it_answers(url, process, log)
                yield url
            finally:
                process.terminate()
                process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/admin/login/", timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the web server did not come up:\n{log.read_text()[-3000:]}")
