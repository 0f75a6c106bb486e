"""Other processes of the bank, for tests of what processes tell each other."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

OPERATION = """
import sys, time
from ops.operations import operation
with operation("job", "elsewhere", timeout={timeout!r}):
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def operation_elsewhere(timeout: float | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A process that has one operation in hand until the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPERATION.format(timeout=timeout)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def service(command: str, **environment: object) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py command` as a process."""
    names = {name.upper(): str(value) for name, value in environment.items()}
    process = subprocess.Popen([sys.executable, "manage.py", command], env={**os.environ, **names})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], T], seconds: float = 10.0, *, pause: float = 0.02) -> T:
    """What the condition gives once that is true of it; fails when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds:g} s: {condition.__doc__ or condition}"
        time.sleep(pause)
    return result
