"""The reference's workload, at the same shape, over the public HTTP API.

Each account is opened at 1,000.00; then deposits of 10, 11, 12, 13, 14 and withdrawals of 5, 6, 7, 8, 9; then its
balance is read 64 times, round-robin. So each account ends at exactly 1,025.00 in eleven events.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

import urllib3

OPENING = "1000.00"
MOVEMENTS = [("deposit", f"{amount}.00") for amount in range(10, 15)] + [
    ("withdraw", f"{amount}.00") for amount in range(5, 10)
]
CLOSING = "1025.00"
READS_PER_ACCOUNT = 64
BATCH = 1000
PAGE = 100
THREADS = 4
TIMEOUT = 60.0
"""Seconds for one request."""

T = TypeVar("T")
Progress = Callable[[int, int], None]


class WorkloadFailed(Exception):
    """The server answered otherwise than the workload demands."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How long one part took: `count` operations in `seconds`."""

    name: str
    count: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds else 0.0


class Workload:
    """Drives one server. `token` needs the scopes accounts:write, payments:write and accounts:read."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + "/api/v1"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # A repeated request carries its idempotency key again: it is safe to send it twice.
        retries = urllib3.Retry(
            total=5, allowed_methods=None, status_forcelist=[503], backoff_factor=0.2, backoff_jitter=0.2
        )
        self._http = urllib3.PoolManager(maxsize=THREADS, retries=retries, timeout=TIMEOUT)
        self._run = uuid4().hex

    def open_accounts(self, count: int, progress: Progress) -> tuple[list[str], Phase]:
        """Opens accounts; their ids and how long it took."""
        item = {
            "command": "open_account",
            "owner": "Reference workload",
            "currency": "EUR",
            "opening_deposit": OPENING,
        }
        started = time.monotonic()
        batches = [[item] * size for size in _sizes(count, BATCH)]
        answers = self._in_parallel(lambda job: self._batch("open", *job), list(enumerate(batches)), progress, BATCH)
        ids = [outcome["accounts"][0]["id"] for outcomes in answers for outcome in outcomes]
        return ids, Phase("accounts opened", count, time.monotonic() - started)

    def move_money(self, ids: Sequence[str], progress: Progress) -> Phase:
        """The ten movements of each account, in order."""
        started = time.monotonic()
        commands = [
            [
                {"command": kind, "account_id": account_id, "amount": amount, "currency": "EUR"}
                for account_id in chunk
                for kind, amount in MOVEMENTS
            ]
            for chunk in _chunks(ids, BATCH // len(MOVEMENTS))
        ]
        self._in_parallel(lambda job: self._batch("move", *job), list(enumerate(commands)), progress, BATCH)
        return Phase("movements", len(ids) * len(MOVEMENTS), time.monotonic() - started)

    def read_balances(self, ids: Sequence[str], rounds: int, progress: Progress) -> Phase:
        """Reads every balance `rounds` times, round-robin; each must be the closing balance."""
        started = time.monotonic()
        chunks = [chunk for _ in range(rounds) for chunk in _chunks(ids, PAGE)]
        self._in_parallel(self._require_closing, chunks, progress, PAGE)
        return Phase("balance reads", len(ids) * rounds, time.monotonic() - started)

    def _require_closing(self, chunk: Iterable[str]) -> None:
        for account_id in chunk:
            answer = self._request("GET", f"/accounts/{account_id}/balance")
            if answer["balance"] != CLOSING:
                raise WorkloadFailed(f"account {account_id} holds {answer['balance']}, not {CLOSING}")

    def _batch(self, name: str, number: int, commands: list[dict[str, str]]) -> list[dict[str, Any]]:
        body = json.dumps({"atomic": False, "commands": commands})
        answer = self._request("POST", "/batches", body=body, key=f"{self._run}-{name}-{number}")
        for outcome in answer["outcomes"]:
            if outcome["status"] != "executed":
                raise WorkloadFailed(f"a command was refused: {outcome['problem']}")
        outcomes: list[dict[str, Any]] = answer["outcomes"]
        return outcomes

    def _request(self, method: str, path: str, *, body: str | None = None, key: str = "") -> Any:
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        response = self._http.request(method, self._url + path, body=body, headers=headers)
        if response.status >= 300:
            raise WorkloadFailed(f"{method} {path} was answered with {response.status}: {response.data[:500]!r}")
        return response.json()

    def _in_parallel(self, action: Callable[[Any], T], jobs: Sequence[Any], progress: Progress, each: int) -> list[T]:
        results = []
        with ThreadPoolExecutor(THREADS) as pool:
            for number, result in enumerate(pool.map(action, jobs), start=1):
                results.append(result)
                progress(number * each, len(jobs) * each)
        return results


def _sizes(count: int, most: int) -> Iterator[int]:
    while count > 0:
        yield min(count, most)
        count -= most


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
