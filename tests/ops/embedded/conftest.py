"""What the tests of the launcher share: a log that is read back, and children that are small Python programs."""

import io
import os
import sys
from collections.abc import Callable, Iterator

import pytest

from ops.embedded.log import Log
from ops.embedded.processes import ChildSpec
from ops.embedded.supervisor import StopRequest

Program = Callable[..., ChildSpec]


class ReadableLog(Log):
    """A log whose lines a test can look at."""

    def __init__(self) -> None:
        self.output = io.StringIO()
        super().__init__(self.output)

    def lines(self) -> list[str]:
        self.flush()
        return self.output.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[ReadableLog]:
    log = ReadableLog()
    yield log
    log.close()


@pytest.fixture
def stop() -> StopRequest:
    """Not installed as a signal handler: a test sets `received` itself."""
    return StopRequest()


@pytest.fixture
def program() -> Program:
    """A ChildSpec that runs a few lines of Python."""

    def make(name: str, source: str, stop_by: float = 5.0, **options: object) -> ChildSpec:
        command = [sys.executable, "-I", "-S", "-u", "-c", source]
        return ChildSpec(name, command, dict(os.environ), stop_by, **options)  # type: ignore[arg-type]

    return make
