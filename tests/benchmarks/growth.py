"""Whether appending stays as fast as events grow. SIZES (100000,10000000) and SECONDS (10) come from the environment.

The tables are emptied and filled anew for each size, without going through the bank; then 1,000 of the accounts take
deposits through `execute()`, in batches of one and of fifty. Hashes of the filling are made up.
"""

import os
import random
import time
from uuid import UUID

import django
import psycopg

django.setup()

from accounts.domain.commands import Deposit  # noqa: E402
from accounts.services import Executed, execute  # noqa: E402
from tests.bank import Bank  # noqa: E402
from tests.benchmarks import lists  # noqa: E402

SIZES = [int(size) for size in (os.environ.get("SIZES") or "100000,10000000").split(",")]
SECONDS = float(os.environ.get("SECONDS") or 10)
ROUNDS = 3
GOAL = 0.9


def main() -> None:
    rates: dict[int, dict[int, float]] = {}
    for size in SIZES:
        fill(size)
        rates[size] = {batch: append_rate(batch) for batch in (1, 50)}
        print(
            f"{size:>12,} events: " + ", ".join(f"batches of {b} {r:,.0f}/s" for b, r in rates[size].items()),
            flush=True,
        )
    for batch in (1, 50):
        share = rates[SIZES[-1]][batch] / rates[SIZES[0]][batch]
        print(f"batches of {batch}: {share:.2f} of the rate (goal {GOAL}: {'met' if share >= GOAL else 'missed'})")


def fill(events: int) -> None:
    lists.EVENTS, lists.ACCOUNTS = events, max(events // 10, 1)
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        tables = ", ".join(lists.EVENT_TABLES)
        conn.execute(f"TRUNCATE {tables}, idempotency_records, snapshots CASCADE".encode())
        lists.fill(conn)
        conn.execute("CHECKPOINT")


def append_rate(batch: int) -> float:
    """The best of some rounds: what disturbs a run makes it slower only."""
    bank, chance, best = Bank(), random.Random(batch), 0.0
    accounts = [
        UUID(lists.account_id(number)) for number in chance.sample(range(lists.ACCOUNTS), min(1000, lists.ACCOUNTS))
    ]
    accounts = [account for account in accounts if int(account.hex[-12:], 16) % 1000 != 1]  # those are frozen
    for _ in range(ROUNDS):
        done, began = 0, time.perf_counter()
        while time.perf_counter() < began + SECONDS:
            outcomes = execute(
                [bank.envelope(Deposit(chance.choice(accounts), bank.money("0.01"))) for _ in range(batch)]
            )
            if not all(isinstance(outcome, Executed) for outcome in outcomes):
                raise SystemExit(f"A deposit was refused: {outcomes}")
            done += batch
        best = max(best, done / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    main()
