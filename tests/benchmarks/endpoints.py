"""How quickly a bank that runs answers each operations endpoint: `python -m tests.benchmarks.endpoints`.

PORT (default 3000) and REQUESTS (200) come from the environment. The goal: p99 below 50 ms while all is well.
"""

import http.client
import os
import time

from ops.endpoints import ENDPOINTS

PORT = int(os.environ.get("PORT") or 3000)
REQUESTS = int(os.environ.get("REQUESTS") or 200)
GOAL = 50
"""Milliseconds, at p99."""


def main() -> None:
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            times = sorted(measure(endpoint.path))
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            print(f"{endpoint.path:<28} p50 {p50:5.1f}  p99 {p99:5.1f}  most {times[-1]:5.1f} ms  (goal {GOAL})")


def measure(path: str) -> list[float]:
    """Milliseconds of each request, one after another, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status}. Start the bank with `make run`, and see /health.")
    connection.close()
    return times


if __name__ == "__main__":
    main()
