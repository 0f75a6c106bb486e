"""A private Redis or Valkey on the loopback interface: Celery's broker and the shared cache.

Append-only file on, since it carries messages; keys without a time to live (the messages) are never evicted,
those with one (the cache) are when `MEMORY` is used up.
"""

from pathlib import Path

import redis

from ops.embedded.layout import make_directory, write_private
from ops.embedded.ports import LOOPBACK
from ops.embedded.processes import ChildSpec

MEMORY = "256mb"
STOP_BY = 13.0
READY_WITHIN = 60.0
"""Seconds; a long append-only file takes a while to load."""

CONFIGURATION = """\
# Written by the launcher at each start.
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory {memory}
maxmemory-policy volatile-lru
databases 16
daemonize no
logfile ""
loglevel warning
"""


def spec(program: Path, directory: Path, port: int, password: str, environment: dict[str, str]) -> ChildSpec:
    """How to run the server with its data in `directory`. The password is passed in a file of mode 0600."""
    configuration = make_directory(directory) / "redis.conf"
    write_private(
        configuration,
        CONFIGURATION.format(host=LOOPBACK, port=port, password=password, directory=directory, memory=MEMORY),
    )
    return ChildSpec("redis", [program, configuration], environment, STOP_BY, directory=directory)


def url(port: int, password: str) -> str:
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def answers(address: str) -> bool:
    """Whether the server at this URL is ready for commands."""
    try:
        with redis.Redis.from_url(address, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
