"""Servers that a test may break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
