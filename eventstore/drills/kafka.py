"""The consumers hang, and the read models fall behind."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress

from ops import board
from ops.conf import get_settings
from ops.drills.registry import Part

COMMAND = "consume_events"


class StoppedConsumers(Part):
    symptom = "the consumers of this machine are stopped (SIGSTOP): they are there, and do nothing"
    remedy = "systemctl restart banking-es-kafka-processor: here, another manage.py consume_events"
    components = ("kafka", "projections")

    def lacks(self) -> str | None:
        if not get_settings().kafka_enabled:
            return "it is about Kafka: KAFKA_ENABLED=true, with brokers, run_relay and consume_events."
        if not consumers():
            return "no consumer runs on this machine: start manage.py consume_events."
        for pid in consumers():
            try:
                os.kill(pid, 0)
            except PermissionError:
                return f"process {pid} belongs to another user: run the drill as that user."
        return None

    def produce(self, cleanup: ExitStack) -> None:
        stopped = consumers()
        cleanup.callback(_signal, stopped, signal.SIGCONT)
        _signal(stopped, signal.SIGSTOP)
        self._cleanup = cleanup

    def reported(self) -> str | None:
        told = self.scene.bank.component("kafka")
        behind = any(
            crossed["value"] in ("unattended_seconds", "lag_seconds") for crossed in told.get("thresholds", ())
        )
        return str(told["reason"]) if behind else None

    def cure(self) -> None:
        """The others stay as they are: what hung is not there any more for its group, and where it wakes up later,
        the checkpoints tell it what has been done meanwhile."""
        replacement = subprocess.Popen([sys.executable, sys.argv[0], COMMAND, "--workers", "1"])  # noqa: S603
        self._cleanup.callback(_end, replacement)

    def cured_within(self) -> float:
        return 120.0 + get_settings().kafka_consumer_session_timeout_ms / 1000


def consumers() -> list[int]:
    """Processes of this machine, the workers of a command among them."""
    return [
        int(seen.process["pid"])
        for seen in board.boards()
        if seen.process["host"] == socket.gethostname() and seen.process["command"] == COMMAND
    ]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
