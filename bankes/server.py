"""The web server: `python -m bankes.server`. HOST and PORT (default 127.0.0.1 and 3000) are its own two settings.

It holds the sockets that listen, and a generation of workers serves them (`bankes.generation`). On SIGHUP it begins
another generation, of the code that stands there by then. Once that can answer, the one before takes no new
connection, ends each that it has with an answer, and goes. One that does not come up changes nothing. The kernel
keeps who connects for as long as a socket lives, so meanwhile nobody is refused, and no request is lost.

The code of the bank is in the generations, and none of it here: this process has no reason to be another one.
"""

import http.client
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from django.conf import settings
from django.utils.log import configure_logging

from ops.service import StopRequest

HOST = os.environ.get("HOST") or "127.0.0.1"
PORT = int(os.environ.get("PORT") or "3000")
WORKERS = 2
BACKLOG = 1024
"""Connections that wait to be accepted, of each worker."""
STOP_WITHIN = 10
"""Seconds that requests in flight get when a generation is told to stop."""
LEAVE = signal.SIGUSR1
"""Tells a generation that another has taken over: to take no new connection, and end each with an answer."""
READY_WITHIN = 30.0
"""Seconds for a generation to take over."""
LEAVES_IN = 5.0
"""Seconds between the last new connection of a generation and its end: those that it has are used once more."""
KILLED_AFTER = STOP_WITHIN + 2.0
TICK = 0.05
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104 - as seen from this machine

log = structlog.get_logger(__name__)


def main() -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit code."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    systemd = StopRequest(os.environ.get("NOTIFY_SOCKET"), None)
    server = Server([listening() for _ in range(WORKERS)])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, server.told)
    if os.environ.get("NOTIFY_SOCKET"):
        threading.Thread(target=_tell_while_it_answers, args=(systemd,), name="watchdog", daemon=True).start()
    code = server.run()
    systemd.tell("STOPPING=1")
    return server.stop() or code


class Server:
    """The generation that serves, the one that is to, and those that leave."""

    def __init__(self, listening: Sequence[socket.socket]) -> None:
        self._listening = listening
        self._is_to_stop = self._is_to_change = False
        self._serving = Generation(listening)
        self._next: Generation | None = None
        self._leaving: list[Generation] = []

    def told(self, number: int, _: object) -> None:
        """The handler of signals."""
        if number == signal.SIGHUP:
            self._is_to_change = True
        else:
            self._is_to_stop = True

    def run(self) -> int:
        """Until it is to stop, or the generation that serves has ended by itself, whose exit code it returns then."""
        while not self._is_to_stop:
            if (code := self._serving.process.poll()) is not None:
                return code or 1
            self._change()
            self._leaving = [each for each in self._leaving if not each.has_left()]
            time.sleep(TICK)
        return 0

    def _change(self) -> None:
        if self._next is None:
            if self._is_to_change:
                self._is_to_change = False
                self._next = Generation(self._listening)
            return
        if self._next.is_ready():
            log.info("web_server_changed", told="New workers have taken over; the old ones leave.")
            self._serving.leave()
            self._leaving.append(self._serving)
            self._serving, self._next = self._next, None
        elif self._next.has_failed():
            told = "New workers do not come up; why stands above. The old ones go on, and nobody was refused."
            log.error("web_server_not_changed", told=told)
            self._next.end()
            self._leaving.append(self._next)
            self._next = None

    def stop(self) -> int:
        """Ends all generations; requests in flight are answered first. Returns the exit code of what served."""
        left = [self._serving, *self._leaving, *([self._next] if self._next else [])]
        for each in left:
            each.end()
        while left := [each for each in left if not each.has_left()]:
            time.sleep(TICK)
        return self._serving.process.returncode


class Generation:
    """One process of `bankes.generation`, which begins with the object. It goes by the server's name."""

    def __init__(self, listening: Sequence[socket.socket]) -> None:
        self._began = time.monotonic()
        self._missing = len(listening)
        self._end_at: float | None = None
        self._kill_at: float | None = None
        self._ready, ready = os.pipe()
        numbers = [ready, *(each.fileno() for each in listening)]
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "bankes.server", str(os.getpid()), *map(str, numbers)], pass_fds=numbers
        )
        os.close(ready)

    def is_ready(self) -> bool:
        """Whether all of its workers have been able to answer; until then it is asked again."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ready, selectors.EVENT_READ)
            if selector.select(0):
                self._missing -= len(os.read(self._ready, self._missing))
        return self._missing == 0

    def has_failed(self) -> bool:
        return self.process.poll() is not None or time.monotonic() > self._began + READY_WITHIN

    def leave(self) -> None:
        self.process.send_signal(LEAVE)
        self._end_at = time.monotonic() + LEAVES_IN

    def end(self) -> None:
        self.process.terminate()
        self._end_at, self._kill_at = None, time.monotonic() + KILLED_AFTER

    def has_left(self) -> bool:
        """Whether it has ended; of one that has not, what its time has come for is done."""
        now = time.monotonic()
        if self._end_at is not None and now > self._end_at:
            self.end()
        if self._kill_at is not None and now > self._kill_at:
            self.process.kill()
        if self.process.poll() is None:
            return False
        with suppress(OSError):
            os.close(self._ready)
        return True


def listening() -> socket.socket:
    """One of the sockets of HOST and PORT, over which the kernel spreads who connects."""
    family = socket.AF_INET6 if ":" in HOST else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind((HOST, PORT))
    found.listen(BACKLOG)
    found.setblocking(False)
    return found


def _tell_while_it_answers(systemd: StopRequest) -> None:
    """READY once it answers; then, where a watchdog waits, a sign of life for as long as it goes on answering."""
    microseconds = int(os.environ.get("WATCHDOG_USEC") or 0)
    pause = microseconds / 3e6 if microseconds else 0.0
    while not _answers(5.0):
        time.sleep(0.1)
    systemd.tell("READY=1")
    while pause:
        if _answers(pause):
            systemd.tell("WATCHDOG=1")
        time.sleep(pause)


def _answers(within: float) -> bool:
    connection = http.client.HTTPConnection(_LOCAL, PORT, timeout=within)
    try:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False  # silence is the message
    finally:
        connection.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        from bankes import generation

        generation.serve(*map(int, sys.argv[1:]))
    else:
        sys.exit(main())
