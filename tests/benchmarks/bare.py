"""The web server with nothing behind it: what a request takes before any of the bank's code has run.

It reads each request as the fast lane does, and answers with as many headers and bytes.
"""

import multiprocessing
from typing import Any

from bankes.generation import granian
from bankes.server import WORKERS, listening

BODY = b"." * 400
HEADERS = [(f"x-header-{number}", "as long as such headers are") for number in range(14)]


class Bare:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        dict(scope.headers.items())
        await protocol()
        protocol.response_bytes(200, HEADERS, BODY)


application = Bare()

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    granian("tests.benchmarks.bare:application", [listening() for _ in range(WORKERS)]).serve()
