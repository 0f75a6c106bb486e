"""Two libraries from PyPI, each in its documented use, in a virtual environment and databases of their own.

Neither does the whole work of a transfer here: no HTTP, no authentication, no idempotency, no hash chain.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

from ops.embedded.layout import VAR
from tests.benchmarks.databases import as_variables, fresh
from tests.benchmarks.figures import Figure
from tests.benchmarks.report import LOCK

HERE = Path(__file__).parent
NAMES = {
    "eventsourcing": "eventsourcing, in process, not the whole work",
    "hordak": "django-hordak, in process, not the whole work",
}
VENV = VAR / "bench-venv"
INSTALL_WITHIN = 600


class Peers:
    def __init__(self) -> None:
        self._addresses = {name: fresh(f"bench_{name}") for name in NAMES}
        for name in NAMES:
            self._run(name, "prepare", timeout=120)

    def measure(self, name: str, clients: int, seconds: float) -> Figure:
        said = self._run(name, "measure", str(clients), str(seconds), timeout=seconds + 120)
        result = json.loads(said.splitlines()[-1])
        return Figure(result["rate"], result["p50"], result["p99"], result["errors"], tuple(result["wrong"]))

    def _run(self, name: str, *arguments: str, timeout: float) -> str:
        environment = {"PATH": os.environ["PATH"], **as_variables(self._addresses[name])}
        command: list[str | Path] = [VENV / "bin" / "python", HERE / f"{name}_transfers.py", *arguments]
        process = subprocess.Popen(
            command, env=environment, cwd=HERE, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True
        )
        try:
            out, trouble = process.communicate(timeout=timeout)
        finally:
            with suppress(ProcessLookupError):  # it has children of its own
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise SystemExit(f"The peer {name} did not run:\n{trouble[-3000:]}")
        return out


def install() -> Peers:
    """Their packages are installed once, and again when the lock file changes."""
    mark, digest = VENV / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text(encoding="ascii") != digest:
        shutil.rmtree(VENV, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, VENV], check=True, timeout=INSTALL_WITHIN)
        install: list[str | Path] = [
            *uv,
            "pip",
            "install",
            "-q",
            "--system-certs",  # whom the machine trusts, as pip does
            "--python",
            VENV / "bin" / "python",
            "--require-hashes",
            "-r",
            LOCK,
        ]
        subprocess.run(install, check=True, timeout=INSTALL_WITHIN)
        mark.write_text(digest, encoding="ascii")
    return Peers()
