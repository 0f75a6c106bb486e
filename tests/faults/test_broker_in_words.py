"""While Redis is dead or hangs, Celery's processes say so in words, and go on when it answers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.redis_server import RedisServer
from tests.processes import wait_until

SILENCE = "Redis, the broker of jobs, does not answer; it is tried again."


@contextmanager
def celery(*words: str, log: Path, redis: RedisServer) -> Iterator["subprocess.Popen[bytes]"]:
    environment = os.environ | {"REDIS_URL": redis.url, "REDIS_OPERATION_TIMEOUT": "1", "LOG_LEVEL": "INFO"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-q", "-A", "bankes", *words, "--loglevel", "INFO"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_worker_whose_broker_dies_says_so_and_goes_on(db: None, redis_server: RedisServer, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with celery("worker", "--concurrency", "1", log=log, redis=redis_server) as worker:
        wait_until(lambda: " ready" in log.read_text(), 40)
        redis_server.kill()
        wait_until(lambda: "Cannot connect to" in log.read_text(), 20)
        redis_server.start()
        wait_until(lambda: "Connected to" in log.read_text().rpartition("Cannot connect to")[2], 40)
        assert worker.poll() is None
    said = log.read_text()
    assert "Traceback" not in said
    assert "CPendingDeprecationWarning" not in said


@pytest.mark.timeout(120)
def test_a_beat_whose_broker_hangs_says_so_in_a_line(db: None, redis_server: RedisServer, tmp_path: Path) -> None:
    log = tmp_path / "beat.log"
    with celery(
        "beat", "--schedule", str(tmp_path / "schedule"), "--pidfile", "", log=log, redis=redis_server
    ) as beat:
        wait_until(lambda: "sweep" in log.read_text(), 60)
        redis_server.pause()
        wait_until(lambda: SILENCE in log.read_text(), 60)
        redis_server.resume()
        time.sleep(1)
        assert beat.poll() is None
    said = log.read_text()
    assert "Traceback" not in said
    assert re.search(r"does not answer; it is tried again\. \(Message Error: Couldn't apply scheduled task", said)
