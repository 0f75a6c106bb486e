"""A child process: how it is started, what it said last, how it is stopped, and how leftovers are found."""

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ops.embedded.errors import DISK_FULL
from ops.embedded.layout import ROOT, make_directory, write_private
from ops.embedded.log import LONGEST_LINE, Log

WRAPPER = Path(__file__).with_name("child.py")
KEPT_LINES = 20
PR_SET_CHILD_SUBREAPER = 36
RESTART = ".restart"


class Account(StrEnum):
    """As whom a program runs; `child.py` describes the three."""

    SELF = "self"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


@dataclass(frozen=True)
class ChildSpec:
    """What the supervisor needs to know of a child.

    `stop_by` is counted in seconds from the moment the whole bank is told to stop; a child that still runs
    then is sent each of the `last_resorts`, half a second apart. Children with the same `stop_by` stop side by
    side, others one after another.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    stop_by: float
    stop_signal: signal.Signals = signal.SIGTERM
    last_resorts: tuple[signal.Signals, ...] = (signal.SIGKILL,)
    account: Account = Account.SELF
    directory: Path = ROOT
    restart_signal: signal.Signals | None = None
    """Of a program that restarts what it runs by itself: it goes on under its process id meanwhile."""


def wrapped(
    command: Sequence[str | Path], account: Account = Account.SELF, orphan_signal: signal.Signals = signal.SIGTERM
) -> list[str]:
    """`command` as run through `child.py`, so that it ends with this process and has the right account.

    Must be started from the main thread: the kernel watches the thread that forks, not its process.
    """
    script = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), str(int(orphan_signal)), account.value]
    return [*script, *map(str, command)]


class Child:
    """One running (or just ended) instance of a ChildSpec. Starts with the object."""

    def __init__(self, spec: ChildSpec, log: Log) -> None:
        self.spec = spec
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            wrapped(spec.command, spec.account, spec.stop_signal),
            env=dict(spec.environment),
            cwd=spec.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches the launcher alone, which stops in order
        )
        self.lacks_space = False
        """Set when it writes that the disk is full, reset by whoever passes that on."""
        self._swept = False
        self._last_lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._reader = threading.Thread(target=self._pump, args=(log,), name=spec.name, daemon=True)
        self._reader.start()

    def _pump(self, log: Log) -> None:
        assert self.process.stdout is not None
        while raw := self.process.stdout.readline(LONGEST_LINE):
            text = raw.decode("utf-8", errors="replace").rstrip()
            if text:
                self._last_lines.append(text)
                self.lacks_space = self.lacks_space or DISK_FULL in text
                log.line(self.spec.name, text)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def tell(self, number: signal.Signals) -> None:
        if self.running:
            self.process.send_signal(number)

    def kill_group(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send to the child and whatever it started; the group may live on after its first process.

        Once that has ended this works one more time only, since its number may then be somebody else's.
        """
        if self._swept:
            return
        self._swept = not self.running
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def last_words(self) -> list[str]:
        """The last lines it wrote, complete once it has ended."""
        if not self.running:
            self._reader.join(0.5)
        return list(self._last_lines)


class Register:
    """Remembers in files which processes were started, so that a later start can end what was left behind.

    A process counts as ours only when both its id and its start time are those written down.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = make_directory(directory)

    def note(self, name: str, pid: int) -> None:
        (self._directory / f"{name}.pid").write_text(f"{pid} {start_time(pid)}\n", encoding="ascii")

    def forget(self, name: str) -> None:
        (self._directory / f"{name}.pid").unlink(missing_ok=True)

    def leftovers(self) -> dict[str, int]:
        """Name and process id of each noted process that still runs; notes of others are removed."""
        found = self.running()
        for path in self._directory.glob("*.pid"):
            if path.stem not in found:
                path.unlink()
        return found

    def running(self) -> dict[str, int]:
        """Name and process id of each noted process that runs."""
        found = {}
        for path in sorted(self._directory.glob("*.pid")):
            try:
                pid, _, started = path.read_text(encoding="ascii").strip().partition(" ")
            except FileNotFoundError:  # it was stopped meanwhile
                continue
            if pid.isdigit() and started and started == start_time(int(pid)):
                found[path.stem] = int(pid)
        return found

    def ask_to_restart(self, name: str) -> None:
        """Leaves a request for the launcher that owns the process."""
        write_private(self._directory / f"{name}{RESTART}", "")

    def take_restarts(self) -> list[str]:
        """Names asked for since the last call: each request is taken once."""
        taken = []
        for path in sorted(self._directory.glob(f"*{RESTART}")):
            path.unlink(missing_ok=True)
            taken.append(path.stem)
        return taken


def adopt_orphans() -> None:
    """Have processes whose parent ended become ours instead of the machine's (prctl(2), a "subreaper")."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(parent: int | None = None) -> set[int]:
    """Ids of all processes whose parent this one is (or another one), started or adopted."""
    wanted = f"{parent or os.getpid()}"
    return {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == wanted}


def _parent(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[1]


def start_time(pid: int) -> str:
    """When the process started, in clock ticks since boot (proc(5), field 22); empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]


def end(pids: Mapping[str, int], seconds: float = 10.0) -> None:
    """Ask processes that are not our children to end, and kill those that do not within `seconds`."""
    started = {pid: start_time(pid) for pid in pids.values()}

    def remaining() -> list[int]:
        return [pid for pid, moment in started.items() if moment and start_time(pid) == moment]

    for name, pid in pids.items():
        _signal(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while remaining() and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in remaining():
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
