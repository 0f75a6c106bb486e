"""The ground floor's own checks."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import caches
from health_check import checks
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable
from redis.exceptions import RedisError

LONGEST = timedelta(seconds=2)


class Database(checks.Database):
    """A connection from this process's own pool answers a SELECT: an exhausted pool is not healthy."""

    timeout = LONGEST


@dataclass
class Cache(HealthCheck):
    """What is written to the cache can be read back.

    (The library's own check runs asynchronously, and then all checks of a process wait for one thread.)
    """

    alias: str = "default"
    timeout = LONGEST

    def run(self) -> None:
        cache, key, value = caches[self.alias], f"health:{secrets.token_hex(8)}", secrets.token_hex(8)
        try:
            cache.set(key, value, timeout=10)
            found = cache.get(key)
            cache.delete(key)
        except (RedisError, OSError) as error:
            raise ServiceUnavailable("The cache does not answer") from error
        if found != value:
            raise ServiceUnavailable("The cache gave back something else than was written")
