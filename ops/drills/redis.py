"""Redis hangs: a script keeps it busy, and nobody else is answered."""

import threading
import time
from contextlib import ExitStack, suppress

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.conf import get_settings
from ops.drills.registry import Part
from ops.drills.running import DrillFailed

LONGEST = 60
"""Seconds after which the script ends by itself, should nobody end it."""
SCRIPT = """
    local function now() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end
    local ends = now() + tonumber(ARGV[1])
    while now() < ends do end
    return 'done'
"""
KILLED_WITHIN = 20.0
"""Seconds. Redis takes SCRIPT KILL when a script has run for five (busy-reply-threshold)."""


class HungRedis(Part):
    symptom = "a script keeps Redis busy: connections are taken, and nothing is answered"
    remedy = "redis-cli SCRIPT KILL"
    components = ("redis", "cache")

    def produce(self, cleanup: ExitStack) -> None:
        script = threading.Thread(target=self._run_script, name="script", daemon=True)
        cleanup.callback(script.join, 10)
        cleanup.callback(self._kill)
        script.start()

    @staticmethod
    def _client(timeout: float) -> redis.Redis:
        url = get_settings().redis_url.get_secret_value()
        return redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )

    def _run_script(self) -> None:
        with suppress(redis.RedisError), self._client(LONGEST + 10) as client:
            client.eval(SCRIPT, 0, LONGEST)

    def reported(self) -> str | None:
        told = self.scene.bank.component("redis")
        return str(told["reason"]) if told["status"] == "unhealthy" else None

    def cure(self) -> None:
        if not self._kill():
            raise DrillFailed(f"Redis did not take SCRIPT KILL within {KILLED_WITHIN:.0f} s")

    def _kill(self) -> bool:
        """Whether nothing keeps Redis busy any more."""
        deadline = time.monotonic() + KILLED_WITHIN
        while time.monotonic() < deadline:
            try:
                with self._client(1.0) as client:
                    client.script_kill()
            except redis.ResponseError as error:
                if "NOTBUSY" in str(error):
                    return True
            except redis.RedisError:
                pass  # it does not listen yet
            time.sleep(0.2)
        return False
