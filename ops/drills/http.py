"""The bank as its callers see it: over HTTP, on its own machine."""

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from ops.conf import get_settings


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: there was none in time."""

    status: int
    body: Any = None


class BankOverHttp:
    """Calls to one web server; each has a connection of its own, so that threads may share this."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url} must look like http://localhost:3000")
        self._host, self._port = parts.hostname, parts.port or 80

    def call(
        self,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        within: float = 60,
    ) -> Answer:
        """GET, or POST with a body; `within` seconds for each exchange of bytes."""
        connection = HTTPConnection(self._host, self._port, timeout=within)
        given = {"Content-Type": "application/json"} | (headers or {})
        try:
            connection.request(
                "GET" if body is None else "POST", path, None if body is None else json.dumps(body), given
            )
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"null"))
        except (OSError, HTTPException, ValueError):
            return Answer(0)
        finally:
            connection.close()

    def component(self, name: str) -> dict[str, Any]:
        """What /health/NAME says; a server that does not answer is unhealthy."""
        answer = self.call(f"/health/{name}", within=get_settings().health_check_timeout + 5)
        if answer.status in (200, 503) and isinstance(answer.body, dict) and "component" in answer.body:
            return answer.body
        return {"component": name, "status": "unhealthy", "reason": f"answers {answer.status}", "values": {}}

    def wait_for(self, seconds: float) -> bool:
        """Whether it is alive within that time."""
        deadline = time.monotonic() + seconds
        while self.call("/health/live", within=5).status != 200:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True
