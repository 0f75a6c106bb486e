"""The first stage: a virtual environment with exactly the packages of the lock files, by hash.

Standard library only, since nothing else is there yet. Each lock file is installed once and remembered by its
hash in `.venv/installed.json`; a start that finds the hash there does not call pip at all.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import venv

from ops.embedded.errors import DISK_FULL, Refusal, Stopped
from ops.embedded.layout import (
    PYTHON,
    REQUIREMENTS,
    ROOT,
    VAR,
    VENV,
    check_space,
    make_directory,
    read_json,
    turn,
    write_json,
)

MARKER = VENV / "installed.json"
UNFINISHED = "unfinished"
CANCELLED = "Operation cancelled by user"
MISSING_PACKAGE = re.compile(r"(?:No matching distribution found for|that satisfies the requirement) ([\w.-]+)")
UNREACHABLE_PACKAGE = re.compile(r"/simple/([\w.-]+)/")
WRONG_HASH = re.compile(r"DO NOT MATCH THE HASHES.*?\n\s+([\w.-]+==[\w.]+)", re.DOTALL)


def runs_inside() -> bool:
    """Whether this process already is the virtual environment's Python."""
    return sys.prefix == str(VENV)


def ensure(*locks: str) -> None:
    """Have the packages of `requirements/<lock>.txt` in `.venv`, for each lock in turn.

    Raises:
        Refusal: Python lacks venv, or pip could not get a package.
    """
    if not _outdated(locks):
        return
    with turn("venv"):
        if not _outdated(locks):
            return
        check_space(ROOT, "the virtual environment")
        if not _is_usable():
            _create()
        for lock in _outdated(locks):
            _install(lock)


def lock_hash(lock: str) -> str:
    """SHA-256 of one lock file, in hexadecimal."""
    return hashlib.sha256((REQUIREMENTS / f"{lock}.txt").read_bytes()).hexdigest()


def _outdated(locks: tuple[str, ...]) -> list[str]:
    installed = read_json(MARKER)
    if not PYTHON.exists() or UNFINISHED in installed:
        return list(locks)
    return [lock for lock in locks if installed.get(lock) != lock_hash(lock)]


def _is_usable() -> bool:
    """Whether packages can be added. Not when its Python was removed or is too old, nor when it was made only in
    part; nor when pip was interrupted in it, since a package may then be there in part."""
    if not PYTHON.exists() or UNFINISHED in read_json(MARKER):
        return False
    question = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", question], capture_output=True, check=False).returncode == 0


def _create() -> None:
    if runs_inside():
        raise Refusal("The virtual environment .venv is not complete: run make again, which makes it anew.")
    missing = [module for module in ("venv", "ensurepip") if importlib.util.find_spec(module) is None]
    if missing:
        raise Refusal(
            f"This Python has no module {missing[0]}, which makes virtual environments: install the package "
            "python3-venv of your distribution and run make again."
        )
    print(f"Making the virtual environment {VENV.name} ...", flush=True)
    if (VENV / "pyvenv.cfg").exists():
        shutil.rmtree(VENV)
    try:
        venv.create(VENV, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        raise Refusal(
            "Python could not make a virtual environment with pip in it: install the package python3-venv of your "
            "distribution and run make again."
        ) from error


def _install(lock: str) -> None:
    count = len(re.findall(r"^[a-z0-9]", (REQUIREMENTS / f"{lock}.txt").read_text(encoding="utf-8"), re.MULTILINE))
    print(f"Installing {count} packages of requirements/{lock}.txt (once; may take a minute) ...", flush=True)
    report = make_directory(VAR / "log") / "pip.log"
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar=off"]
    lock_file = f"requirements/{lock}.txt"
    rules = ["--require-hashes", "--only-binary=:all:", "--retries=2", "-r", lock_file]
    installed = read_json(MARKER)
    write_json(MARKER, installed | {UNFINISHED: lock})
    with report.open("wb") as output:
        result = subprocess.run([*pip, *rules], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        said = report.read_text(encoding="utf-8", errors="replace")
        if CANCELLED in said:  # Ctrl-C reached pip as well
            raise Stopped
        raise Refusal(explain_pip(said, lock_file))
    write_json(MARKER, installed | {lock: lock_hash(lock)})


def explain_pip(report: str, lock_file: str) -> str:
    """What went wrong, from pip's own words: the package's name and what would help."""
    if DISK_FULL in report:
        return f"The disk is full: pip could not unpack {lock_file}; free some space and run make again."
    if wrong := WRONG_HASH.search(report):
        return (
            f"The file that the package index sent for {wrong[1]} is not the one that {lock_file} names by hash: do "
            "not install it, and ask whoever runs the index."
        )
    unreachable, missing = UNREACHABLE_PACKAGE.search(report), MISSING_PACKAGE.search(report)
    name = (unreachable or missing or ["", "a package"])[1]
    return (
        f"pip could not get a wheel of {name} ({lock_file}): it needs the network or a proxy (HTTPS_PROXY) that "
        "leads to a package index that has it; what pip said stands in var/log/pip.log."
    )
