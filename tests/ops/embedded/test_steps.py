"""A command that owns the terminal: its exit code, its end, and what it leaves behind."""

import os
import signal
import sys
import threading
import time

import pytest

from ops.embedded import steps
from ops.embedded.errors import Refusal
from ops.embedded.processes import start_time
from ops.embedded.supervisor import StopRequest

PYTHON = [sys.executable, "-I", "-S", "-c"]


def run(source: str, stop: StopRequest) -> int:
    return steps.foreground([*PYTHON, source], {**os.environ}, stop)


def test_the_exit_code_is_passed_on(stop):
    assert run("raise SystemExit(7)", stop) == 7
    assert run("import os; os.kill(os.getpid(), 9)", stop) == 128 + 9


def test_a_program_that_is_not_there_is_refused(stop):
    with pytest.raises(Refusal, match="There is no program dance to run"):
        steps.foreground(["dance"], {**os.environ}, stop)


def test_what_a_command_left_behind_is_ended(stop, tmp_path):
    note = tmp_path / "pid"
    run(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        f"while not os.path.exists({str(note)!r}): time.sleep(0.01)\n"
        "time.sleep(0.1)",
        stop,
    )
    assert not start_time(int(note.read_text()))


@pytest.mark.parametrize("source", ["import time; time.sleep(60)", "STUBBORN"])
def test_a_command_ends_when_the_launcher_is_told_to_stop(stop, monkeypatch, source: str):
    monkeypatch.setattr(steps, "GRACE", 0.3)
    if source == "STUBBORN":
        source = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    threading.Timer(0.5, lambda: setattr(stop, "received", signal.SIGTERM)).start()
    began = time.monotonic()
    assert run(source, stop) in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    assert time.monotonic() - began < 5


def test_ctrl_c_is_left_to_the_command(stop):
    stop.received = signal.SIGINT
    assert run("import time; time.sleep(0.3)", stop) == 0
