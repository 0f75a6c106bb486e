"""Programs that run once and to their end: migrations, collectstatic, pytest, a developer's command."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.embedded.errors import Refusal, disk_is_full
from ops.embedded.layout import PYTHON, ROOT, VAR, make_directory, turn
from ops.embedded.processes import adopt_orphans, children, wrapped
from ops.embedded.supervisor import TICK, StopRequest
from ops.embedded.venv import lock_hash

GRACE = 5.0
"""Seconds that a step gets to end when the launcher is told to stop."""
STATIC = VAR / "static"


def manage(command: str, environment: Mapping[str, str], stop: StopRequest, *, quiet: bool = False) -> None:
    """Run `manage.py COMMAND`; its output goes to the terminal, or with `quiet` only when it fails.

    Raises:
        Refusal: it failed.
        Stopped: a signal came; the command was ended.
    """
    process = subprocess.Popen(
        wrapped([PYTHON, "manage.py", *command.split()]),
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    while True:
        try:
            output = process.communicate(timeout=TICK)[0] or ""
            break
        except subprocess.TimeoutExpired:
            if stop.received:
                _end(process)
                stop.check()
    if process.returncode:
        lines = output.splitlines()
        if disk_is_full(lines):
            raise Refusal("The disk is full: free some space and run make again.", lines)
        raise Refusal(f"`manage.py {command}` failed; what it said stands above.", lines)


def foreground(command: Sequence[str | Path], environment: Mapping[str, str], stop: StopRequest) -> int:
    """Run a command that owns the terminal and return its exit code.

    Ctrl-C reaches it by itself, being in the terminal's group; a SIGTERM or SIGHUP to the launcher is passed on,
    and a command that does not end of it within `GRACE` is killed. What the command started ends with it.
    """
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise Refusal(f"There is no program {command[0]} to run.")
    adopt_orphans()
    ours = children()
    process = subprocess.Popen(wrapped([program, *command[1:]]), cwd=ROOT, env=dict(environment))
    told_at: float | None = None
    while process.poll() is None:
        if stop.received and stop.received != signal.SIGINT and told_at is None:
            process.send_signal(stop.received)
            told_at = time.monotonic()
        if told_at is not None and time.monotonic() > told_at + GRACE:
            process.kill()
        time.sleep(TICK)
    _end_what_it_left(ours)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end_what_it_left(ours: set[int]) -> None:
    """A command that was killed leaves servers and browsers of its own behind, which by now are our children."""
    for _ in range(10):  # what they had started in turn is adopted as they end
        left = children() - ours
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def collect_static(environment: Mapping[str, str], stop: StopRequest) -> None:
    """Collect the static files once for each state of the packages and of the checkout's own static files."""
    marker = make_directory(STATIC) / ".state"
    with turn("static"):
        state = _static_state()
        if marker.exists() and marker.read_text(encoding="ascii") == state:
            return
        manage("collectstatic --noinput --verbosity 0", environment, stop, quiet=True)
        marker.write_text(state, encoding="ascii")


def _static_state() -> str:
    digest = hashlib.sha256(lock_hash("base").encode())
    for app in sorted(ROOT.glob("*/static")):
        for path in sorted(app.rglob("*")):
            if path.is_file():
                digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
