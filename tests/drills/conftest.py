"""One installation for all drills: real PostgreSQL, Kafka and Redis, the web server, the services, and a Prometheus
that watches."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ops.embedded.ports import kept_or_free
from ops.embedded.processes import wrapped
from tests.faults.redis_server import RedisServer
from tests.installation import ROOT, Installation, installed
from tests.kafka import broker

__all__ = ["broker"]

SERVICES = ("run_monitor", "run_relay", "consume_events --workers 1")
HURRIED = {
    "DEADLOCK_CHECK_INTERVAL": "1",
    "DEADLOCK_WINDOW": "10",
    "LOCK_TIMEOUT_MS": "1500",
    "REDIS_OPERATION_TIMEOUT": "1",
    "KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "6000",
    "POOL_MAX_CONNECTIONS": "8",
}
"""Shorter than the defaults, so that the tests are quick; what is measured and where it is judged stays the same."""


@pytest.fixture(scope="module")
def bank(
    tmp_path_factory: pytest.TempPathFactory, broker: Mapping[str, str], sweep: Callable[[], None]
) -> Iterator[Installation]:
    sweep()
    redis = RedisServer(tmp_path_factory.mktemp("drills"))
    redis.start()
    mark = secrets.token_hex(4)
    own = {
        "REDIS_URL": redis.url,
        "KAFKA_ENABLED": "true",
        "KAFKA_TOPIC": f"events-{mark}",
        "KAFKA_DEAD_LETTER_TOPIC": f"letters-{mark}",
        "KAFKA_GROUP_ID": f"group-{mark}",
        "DRILLS_ALLOWED": "true",
    }
    try:
        with installed(*SERVICES, **{**broker, **HURRIED, **own}) as made:
            yield made
    finally:
        redis.kill()


class Prometheus:
    """The real one, with the rules of deploy/prometheus; it alone is in a hurry."""

    def __init__(self, program: str, target: int, folder: Path) -> None:
        self._port = kept_or_free(None, target)
        rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
        (folder / "rules.yml").write_text(re.sub(r"for: \w+$", "for: 1s", rules, flags=re.MULTILINE))
        config = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        for name, value in {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}.items():
            config = re.sub(rf"{name}: \w+", f"{name}: {value}", config)
        (folder / "prometheus.yml").write_text(config.replace("localhost:3000", f"localhost:{target}"))
        words = [
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=error",
        ]
        self.process = subprocess.Popen(wrapped([program, *words], orphan_signal=signal.SIGKILL))

    def ask(self, query: str) -> list[dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", f"/api/v1/query?{urlencode({'query': query})}")
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError):
            return []
        finally:
            connection.close()
        found: list[dict[str, Any]] = answer.get("data", {}).get("result", [])
        return found

    def has_fired(self, alert: str, *, within: float) -> bool:
        """Within the last so many seconds."""
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        return bool(self.ask(f"max_over_time({firing}[{int(within)}s])"))

    def fires(self, alert: str) -> bool:
        return bool(self.ask(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def prometheus(bank: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | None]:
    """None where there is none; in continuous integration that is a failure."""
    program = shutil.which("prometheus")
    if program is None:
        assert not os.environ.get("CI"), "install the Debian package `prometheus`"
        yield None
        return
    made = Prometheus(program, bank.port, tmp_path_factory.mktemp("prometheus"))
    yield made
    made.stop()
