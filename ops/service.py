"""What every long-running command shares: it ends on SIGTERM or Ctrl-C, and tells systemd that it is ready and alive.

A service's loop asks `stop.is_set()` or `stop.wait(pause)` each time around. Each asking is its sign of life, so a
loop that hangs falls silent, and systemd (WatchdogSec) restarts it. Without systemd nothing is sent.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final


class StopRequest(threading.Event):
    """Set when the process is asked to end; asking it is the loop's sign of life."""

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        super().__init__()
        self._address: Final = address
        self._watchdog: Final = watchdog_seconds
        self._pause: Final = watchdog_seconds / 3 if watchdog_seconds else None
        self._told_at: float | None = None
        self._thread = threading.get_ident()

    def is_set(self) -> bool:
        self._alive()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`, in steps short enough for the watchdog."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._alive()
            left = None if deadline is None else deadline - time.monotonic()
            step = left if self._pause is None else self._pause if left is None else min(left, self._pause)
            if super().wait(None if step is None else max(step, 0.0)):
                return True
            if left is not None and left <= (step or 0.0):
                return False

    @contextmanager
    def seldom_heard(self, seconds: float) -> Iterator[None]:
        """Says that it is ready, if that was not said, and has the watchdog wait for so many seconds between two
        signs of life in the block; not where another thread than the loop's own works in it."""
        self._alive()
        if self._watchdog is None or threading.get_ident() != self._thread:
            yield
            return
        self.tell(f"WATCHDOG_USEC={seconds * 1e6:.0f}")
        try:
            yield
        finally:
            self.tell(f"WATCHDOG_USEC={self._watchdog * 1e6:.0f}")

    def request(self, *_: Any) -> None:
        """Asks for the end: the handler of signals.

        A handler may interrupt `wait` while it holds the event's own lock, so another thread sets the event.
        """
        self.tell("STOPPING=1")
        threading.Thread(target=self.set, name="stop", daemon=True).start()

    def _alive(self) -> None:
        """Tells systemd, at most three times in a watchdog period, and only from the loop's own thread."""
        if self._address is None or threading.get_ident() != self._thread:
            return
        now = time.monotonic()
        if self._told_at is None:
            self.tell("READY=1")
        elif self._pause is None or now - self._told_at < self._pause:
            return
        else:
            self.tell("WATCHDOG=1")
        self._told_at = now

    def tell(self, state: str) -> None:
        """Sends systemd a line such as "WATCHDOG=1"; does nothing without it."""
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto(state.encode(), self._address.replace("@", "\0", 1))
            except OSError:
                return  # systemd will miss it soon enough


def seldom_heard(stop: threading.Event, seconds: float) -> AbstractContextManager[None]:
    """For work that asks `stop` only now and then, as `StopRequest.seldom_heard`; a plain event tells nobody."""
    return stop.seldom_heard(seconds) if isinstance(stop, StopRequest) else nullcontext()


def stop_on_signals() -> StopRequest:
    """To be called once, in the main thread of a service, before its loop."""
    # systemd's own variables, no settings of ours: https://www.freedesktop.org/software/systemd/man/sd_notify.html
    address = os.environ.get("NOTIFY_SOCKET")
    microseconds = os.environ.get("WATCHDOG_USEC")
    stop = StopRequest(address, int(microseconds) / 1e6 if address and microseconds else None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.request)
    return stop
