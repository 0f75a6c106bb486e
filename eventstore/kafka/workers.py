"""Several consumers, each a process of its own: folding events is work for a processor, and Python uses one."""

import os
import signal
import subprocess
import sys
import threading
import time

import structlog

log = structlog.get_logger(__name__)

TICK = 0.2
STOP_WITHIN = 10.0
"""Seconds that the workers get to finish their batches; the launcher and systemd give the whole command more."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
LIVED_WELL = 30.0


class Worker:
    """One process, started again when it dies, less eagerly each time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._deaths = 0
        self._start_at = 0.0
        self._started = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        now = time.monotonic()
        if self.process is not None:
            if self.process.poll() is None:
                return
            self._deaths = 1 if now - self._started > LIVED_WELL else self._deaths + 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._deaths - 1))
            log.warning("consumer_died", worker=self.number, code=self.process.returncode, again_in=pause)
            self.process, self._start_at = None, now + pause
        if now >= self._start_at:
            self._started = now
            self.process = subprocess.Popen(  # noqa: S603 - itself
                [sys.executable, sys.argv[0], "consume_events", "--worker-of", str(os.getpid())],
                start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on
            )

    def tell(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def run_workers(count: int, stop: threading.Event) -> None:
    """Keeps `count` consumers running until `stop` is set; returns when all have ended."""
    workers = [Worker(number) for number in range(count)]
    while not stop.is_set():
        for worker in workers:
            worker.look()
        stop.wait(TICK)
    for worker in workers:
        worker.tell(signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN
    for worker in workers:
        if worker.process is not None:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.tell(signal.SIGKILL)
                worker.process.wait()


def stop_with_parent(parent: int, stop: threading.Event) -> None:
    """Sets `stop` when the process that started this one is gone, so that no worker outlives its command."""

    def watch() -> None:
        while not stop.wait(1.0):
            if os.getppid() != parent:
                stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()
