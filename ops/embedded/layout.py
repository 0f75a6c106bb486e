"""Where the launcher keeps things: everything below `var/` and `.venv/`, nothing anywhere else.

var/postgres       the database cluster            var/secrets.json   generated passwords, 0600
var/redis          broker and cache                var/ports.json     ports of the last start
var/kafka          the broker's files              var/kafka-jars     its programs, from Maven
var/static         collected static files          var/running.json   exists while the bank is up
var/prometheus     metrics of the processes        var/run/           who was started, to find leftovers
var/test-*         throw-away servers of a test    var/log/           output of pip
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ops.embedded.errors import Refusal

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
NEEDED_SPACE = 1024**3
"""Free bytes without which nothing is installed and no database is made."""


def make_directory(path: Path) -> Path:
    """`path` as a directory that only its owner can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step with a file that only its owner can read, and have it on disk on return."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`, or an empty one when the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    write_private(path, json.dumps(value, indent=2) + "\n")


def check_ownership() -> None:
    """Refuse early when `var/` was made by somebody else, whose files this user could not read anyway.

    Raises:
        Refusal: `var/` belongs to another user.
    """
    if os.geteuid() == 0 or not VAR.exists():
        return
    if VAR.stat().st_uid != os.geteuid():
        raise Refusal(
            f"{VAR} belongs to another user (uid {VAR.stat().st_uid}), who ran make here before: run make as that "
            "user, or in a checkout of your own."
        )


def check_space(directory: Path, purpose: str) -> None:
    """Raises Refusal when fewer than NEEDED_SPACE bytes are free where `directory` lies."""
    free = shutil.disk_usage(directory).free
    if free < NEEDED_SPACE:
        raise Refusal(
            f"Only {free // 1024**2} MiB are free where {directory} lies and {purpose} needs 1024 MiB: free some "
            "space and run make again."
        )


def try_lock(path: Path) -> IO[str] | None:
    """An exclusive lock on the file `path` for as long as the result stays open; None when another holds it.

    The kernel drops the lock with its process, however that ends, so a lock is never left behind.
    """
    file = open(path, "a+", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """Hold the lock `name`, waiting for another launcher of this checkout that does the same work."""
    with open(make_directory(VAR) / f"{name}.lock", "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
