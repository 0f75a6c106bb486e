"""A Redis of a test's own, to be killed, hung, and started again empty or with old data."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.embedded import redis as embedded
from ops.embedded.binaries import find_redis
from ops.embedded.ports import kept_or_free

PASSWORD = "for-this-test"


class RedisServer:
    """The server that the launcher would run, configured as the launcher configures it."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "redis"
        self._old = directory / "old"
        self._program = find_redis(os.environ)
        self.port = kept_or_free(None)
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False

    @property
    def url(self) -> str:
        return embedded.url(self.port, PASSWORD)

    def client(self, timeout: float = 0.05) -> redis.Redis:
        """A client with no more patience than the cache has."""
        pool = redis.BlockingConnectionPool.from_url(
            self.url,
            max_connections=32,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return redis.Redis(connection_pool=pool)

    def start(self) -> None:
        spec = embedded.spec(self._program, self._data, self.port, PASSWORD, dict(os.environ))
        self._process = subprocess.Popen(
            spec.command, cwd=self._data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while not embedded.answers(self.url):
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process, self._paused = None, False

    def pause(self) -> None:
        """Hung: connections are taken, nothing is answered."""
        self._send(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        self._send(signal.SIGCONT)
        self._paused = False

    def restart_empty(self) -> None:
        self.kill()
        shutil.rmtree(self._data)
        self.start()

    def keep_data(self) -> None:
        """Puts a copy of its data aside, for `restart_with_old_data`."""
        shutil.rmtree(self._old, ignore_errors=True)
        shutil.copytree(self._data, self._old)

    def restart_with_old_data(self) -> None:
        self.kill()
        if self._old.exists():
            shutil.rmtree(self._data)
            shutil.copytree(self._old, self._data)
        self.start()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
