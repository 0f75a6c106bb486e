"""What registering an operation costs beside a transfer through the executor: `make bench`.

Transfers with and without the register alternate, so that a busy machine is busy for both. "Without" takes the
register out of the executor and the stacks out of the pool; everything else stays. TRANSFERS (default 1500) comes
from the environment.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import django

django.setup()

from django.db import connection  # noqa: E402
from psycopg_pool import ConnectionPool  # noqa: E402

from ops.database.pool import Pool  # noqa: E402
from ops.operations import operation  # noqa: E402
from tests.bank import Bank  # noqa: E402

TRANSFERS = int(os.environ.get("TRANSFERS") or 1500)
MOST = 2.0
"""Percent of a transfer that it may cost."""


def main() -> None:
    bank = Bank()
    ann, bob = bank.open("1000000.00"), bank.open("1000000.00")

    def transfer() -> None:
        bank.transfer(ann, bob, "0.01")
        connection.close()  # as after each request: the next one takes a connection, and its stack is kept

    for _ in range(50):
        transfer()
    bare: list[float] = []
    registered: list[float] = []
    for number in range(TRANSFERS):
        sides = [(bare, unregistered), (registered, nullcontext)]
        for figures, how in sides if number % 2 else reversed(sides):
            with how():
                figures.append(timed(transfer))
    alone = statistics.median(timed(register) for _ in range(2000))
    report(statistics.median(bare), statistics.median(registered), alone)


def report(bare: float, registered: float, alone: float) -> None:
    print(f"transfer without the register  {bare * 1e6:8.0f} us   (medians of {TRANSFERS})")
    print(f"transfer with it               {registered * 1e6:8.0f} us   {(registered / bare - 1) * 100:+.1f} %")
    share = alone / bare * 100
    print(f"an operation with three steps  {alone * 1e6:8.1f} us   {share:.1f} % of a transfer; at most {MOST} %")
    if share > MOST:
        raise SystemExit("Registering costs too much.")


def register() -> None:
    with operation("command", "Transfer", timeout=30, actor="client:bench") as begun:
        begun.step("locking", ["0190b5f0-0000-7000-8000-000000000001", "0190b5f0-0000-7000-8000-000000000002"])
        begun.step("deciding")
        begun.step("writing")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def unregistered() -> Iterator[None]:
    """Without the register, nor the stacks of connections."""

    def silent(*_: Any, **__: Any) -> Any:
        return nullcontext()

    with (
        mock.patch("accounts.services.registration.operation", silent),
        mock.patch("accounts.services.registration.require_room"),
        mock.patch.object(Pool, "getconn", ConnectionPool.getconn),
        mock.patch.object(Pool, "putconn", ConnectionPool.putconn),
    ):
        yield


if __name__ == "__main__":
    main()
