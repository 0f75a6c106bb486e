"""A child ends with the launcher even when the launcher is killed without a word, and runs as whom it should."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ops.embedded.layout import ROOT
from ops.embedded.processes import Account, end, start_time, wrapped

LAUNCHER = """
import subprocess, sys, time
from ops.embedded.processes import wrapped
child = subprocess.Popen(wrapped([sys.executable, "-c", "import time; time.sleep(60)"]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def wait_until_gone(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while start_time(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not start_time(pid)


def test_a_child_ends_when_the_launcher_is_killed():
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child = int(launcher.stdout.readline())
    assert start_time(child)
    launcher.kill()
    launcher.communicate()
    assert wait_until_gone(child)


def test_a_leftover_that_does_not_listen_is_killed():
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    end({"web": process.pid}, seconds=0.2)
    assert process.wait(5) == -signal.SIGKILL
    process.stdout.close()


def test_programs_get_the_usual_broken_pipe_signal_back():
    said = subprocess.run(
        wrapped(["/bin/cat", "/proc/self/status"]), capture_output=True, text=True, check=True
    ).stdout
    ignored = int(next(line.split()[1] for line in said.splitlines() if line.startswith("SigIgn")), 16)
    assert not ignored & 1 << (signal.SIGPIPE - 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change who it is")
@pytest.mark.parametrize(("account", "expected"), [(Account.NAMESPACE, "1000"), (Account.NOBODY, "65534")])
def test_root_starts_a_program_as_somebody_else(account: Account, expected: str):
    said = subprocess.run(
        wrapped(["/usr/bin/id", "-u"], account), cwd="/", capture_output=True, text=True, check=False
    )
    if account is Account.NAMESPACE and "not permitted" in said.stderr:
        pytest.skip("user namespaces are not permitted here")
    assert said.stdout.strip() == expected
