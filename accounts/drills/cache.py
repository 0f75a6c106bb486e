"""A process whose cache is cold, and too small for what it reads."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ops.conf import get_settings
from ops.drills.registry import Part

ACCOUNTS = 48
TOO_SMALL = 4
LARGE_ENOUGH = 5000
ROOT = Path(__file__).resolve().parents[2]


class SmallCache(Part):
    symptom = f"a process reads {ACCOUNTS} new accounts again and again, and its memory holds {TOO_SMALL}"
    remedy = f"CACHE_MAX_SIZE={LARGE_ENOUGH}, restart, manage.py warm_cache"
    components = ("cache", "redis")

    def prepare(self) -> None:
        self._accounts = [self.scene.customers.open_account() for _ in range(ACCOUNTS)]

    def produce(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        self._reader = self._read(TOO_SMALL)

    def _read(self, size: int) -> "subprocess.Popen[bytes]":
        """A process of the bank that reads the accounts, with a memory of this size."""
        words = ["-m", "accounts.drills.reader", "--cache-max-size", str(size), *self._accounts]
        reader = subprocess.Popen([sys.executable, *words], cwd=ROOT)  # noqa: S603 - itself
        self._cleanup.callback(_end, reader)
        return reader

    def reported(self) -> str | None:
        told = self.scene.bank.component("cache")
        missed = any(crossed["value"] == "hit_rate" for crossed in told.get("thresholds", ()))
        return str(told["reason"]) if missed else None

    def cure(self) -> None:
        _end(self._reader)
        self.scene.manage("warm_cache", "--limit", str(max(ACCOUNTS, get_settings().cache_warmup_batch_size)))
        self._reader = self._read(LARGE_ENOUGH)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
