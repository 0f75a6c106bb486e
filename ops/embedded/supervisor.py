"""Keeps children running, restarts those that die or that somebody asks to have restarted, and stops all of them in
order within a bounded time."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType

from ops.embedded.errors import Refusal, Stopped, disk_is_full
from ops.embedded.log import Log
from ops.embedded.processes import Child, ChildSpec, Register

TICK = 0.05
"""Seconds between two looks at the children."""
LAST_RESORT_PAUSE = 0.4


class StopRequest:
    """Turns SIGINT, SIGTERM and SIGHUP into a flag; further ones change nothing."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)

    def check(self) -> None:
        """Raises Stopped once a signal came."""
        if self.received:
            raise Stopped


@dataclass(frozen=True)
class Patience:
    """How deaths are answered, in seconds: the pause doubles with each quick death in a row, up to `longest`."""

    first: float = 0.5
    longest: float = 15.0
    quick: float = 10.0
    quick_deaths: int = 5

    def pause(self, deaths: int) -> float:
        """How long to wait before the restart that follows this many quick deaths in a row."""
        return min(self.first * 2.0 ** max(deaths - 1, 0), self.longest)


@dataclass
class _Seat:
    """One child's place: who sits in it, how often it died quickly in a row, when it is filled again, by when the
    child has to have ended that was told to, for a new one, and until when a full disk is not mentioned again (all
    by the monotonic clock)."""

    child: Child
    deaths: int = 0
    restart_at: float | None = None
    end_by: float | None = None
    quiet_until: float = 0.0


class Supervisor:
    """Owns the children. Use as a context manager: leaving it stops them, whatever happened inside."""

    def __init__(
        self, log: Log, stop: StopRequest, register: Register | None = None, patience: Patience | None = None
    ) -> None:
        self._log = log
        self._stop = stop
        self._register = register
        self._patience = patience or Patience()
        self._seats: dict[str, _Seat] = {}

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, spec: ChildSpec) -> Child:
        child = self._spawn(spec)
        self._seats[spec.name] = _Seat(child)
        return child

    def wait_until(self, ready: Callable[[], bool], child: Child, seconds: float) -> None:
        """Wait for `ready` while `child` runs.

        Raises:
            Refusal: the child ended, or was not ready after `seconds`.
            Stopped: a signal came.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self._stop.check()
            if not child.running:
                raise self._farewell(child, "ended while it was starting")
            if time.monotonic() > deadline:
                raise self._farewell(child, f"was not ready after {seconds:.0f} seconds")
            time.sleep(TICK)

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Restart what dies and what the register asks for, until a signal comes, nobody reads the log any more, or
        `until` holds.

        Raises:
            Refusal: a child died too often in a row.
        """
        while not (self._stop.received or self._log.reader_is_gone or until()):
            for name in self._register.take_restarts() if self._register else ():
                self._begin_restart(name)
            for seat in self._seats.values():
                self._look_at(seat)
            time.sleep(TICK)

    def check_all_running(self) -> None:
        """Raises Refusal when a child died; for servers that nobody restarts."""
        for seat in self._seats.values():
            if not seat.child.running:
                raise self._farewell(seat.child, f"died meanwhile ({_cause(seat.child)})")

    def stop(self) -> None:
        """End all children: those with the earliest `stop_by` first. Returns when none is left."""
        began = time.monotonic()
        for moment in sorted({seat.child.spec.stop_by for seat in self._seats.values()}):
            group = [seat.child for seat in self._seats.values() if seat.child.spec.stop_by == moment]
            self._stop_group(group, began + moment)
        self._seats.clear()

    def _look_at(self, seat: _Seat) -> None:
        child = seat.child
        if seat.end_by is not None:
            self._go_on_restarting(seat, seat.end_by)
            return
        if child.running:
            self._tell_of_full_disk(seat)
            return
        if seat.restart_at is None:
            self._note_death(seat)
        elif time.monotonic() >= seat.restart_at:
            seat.child = self._spawn(child.spec)
            seat.restart_at = None

    def _begin_restart(self, name: str) -> None:
        """Has one child end in its own good time, which is that of a stop; meanwhile the others are looked after. One
        that restarts by itself is told to."""
        seat = self._seats.get(name)
        if seat is None or seat.end_by is not None:
            return
        child = seat.child
        self._log.line("launcher", f"restarting {name}, as asked")
        if child.running and child.spec.restart_signal is not None:
            child.tell(child.spec.restart_signal)
            return
        child.tell(child.spec.stop_signal)
        seat.end_by, seat.restart_at, seat.deaths = time.monotonic() + child.spec.stop_by, None, 0

    def _go_on_restarting(self, seat: _Seat, end_by: float) -> None:
        child = seat.child
        if child.running and time.monotonic() < end_by:
            return
        self._send_last_resorts(child)
        child.kill_group()
        seat.child, seat.end_by = self._spawn(child.spec), None

    def _tell_of_full_disk(self, seat: _Seat) -> None:
        """A server that is refused space goes on and fails requests, so the person is told, once a minute."""
        now = time.monotonic()
        if seat.child.lacks_space and now > seat.quiet_until:
            self._log.line("launcher", f"{seat.child.spec.name} says that the disk is full: free some space now")
            seat.child.lacks_space = False
            seat.quiet_until = now + 60

    def _note_death(self, seat: _Seat) -> None:
        child = seat.child
        child.kill_group()
        seat.deaths = seat.deaths + 1 if child.age < self._patience.quick else 1
        if seat.deaths >= self._patience.quick_deaths or disk_is_full(child.last_words()):
            raise self._farewell(child, f"died {_times(seat.deaths)} ({_cause(child)})")
        pause = self._patience.pause(seat.deaths)
        seat.restart_at = time.monotonic() + pause
        self._log.line("launcher", f"{child.spec.name} died ({_cause(child)}) and starts again in {pause:g} s")

    def _spawn(self, spec: ChildSpec) -> Child:
        child = Child(spec, self._log)
        if self._register:
            self._register.note(spec.name, child.process.pid)
        return child

    def _stop_group(self, group: list[Child], deadline: float) -> None:
        for child in group:
            if child.running:
                self._log.line("launcher", f"stopping {child.spec.name}")
                child.tell(child.spec.stop_signal)
        _wait_for(group, deadline)
        for child in group:
            self._send_last_resorts(child)
            child.kill_group()
            if self._register:
                self._register.forget(child.spec.name)

    def _send_last_resorts(self, child: Child) -> None:
        for number in child.spec.last_resorts:
            if child.running:
                self._log.line("launcher", f"{child.spec.name} did not stop in time: {number.name}")
                child.kill_group(number)
                _wait_for([child], time.monotonic() + LAST_RESORT_PAUSE)

    def _farewell(self, child: Child, what: str) -> Refusal:
        lines = child.last_words()
        if disk_is_full(lines):
            return Refusal(
                "The disk is full: free some space and run make again; nothing that was confirmed is lost."
            )
        return Refusal(f"{child.spec.name} {what}, so everything was stopped; its last lines stand above.", lines)


def _wait_for(group: list[Child], deadline: float) -> None:
    while any(child.running for child in group) and time.monotonic() < deadline:
        time.sleep(TICK / 5)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times in a row"


def _cause(child: Child) -> str:
    code = child.process.returncode
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
