"""The load of an account by the length of its stream, and rebuilding balances as a set."""

import os
import statistics
import time
from uuid import UUID

import psycopg

from accounts.domain.commands import Deposit
from accounts.services import execute
from eventstore.projections import base
from eventstore.projections.runner import catch_up
from eventstore.projections.snapshots import Snapshots
from eventstore.store import load
from tests.bank import Bank
from tests.benchmarks.report import Results, judged_above, judged_below

LENGTHS = (10, 1_000, 10_000)
REPEATS = 200


def loads(results: Results, is_quick: bool) -> None:
    """Snapshots are taken by their projection, as they are in the running bank."""
    bank = Bank()
    accounts = {length: _account(bank, length) for length in (LENGTHS[:2] if is_quick else LENGTHS)}
    catch_up([Snapshots()])
    times: dict[int, list[float]] = {length: [] for length in accounts}
    for _ in range(REPEATS):
        for length, account in accounts.items():
            began = time.perf_counter()
            loaded = load(account)
            times[length].append((time.perf_counter() - began) * 1000)
            if loaded.version != length:
                raise SystemExit(f"The account was loaded at version {loaded.version}, not {length}.")
    medians = {length: statistics.median(some) for length, some in times.items()}
    for length, median in medians.items():
        ratio = median / medians[LENGTHS[0]]
        goal = judged_below(ratio, 1.2) if length == LENGTHS[-1] else ""
        results.extra.append((f"load at {length:,} events", f"{median:.2f} ms, {ratio:.2f} of that at 10", goal))
        print(*results.extra[-1], flush=True)


def _account(bank: Bank, length: int) -> UUID:
    account, left = bank.open(), length - 1
    while left:
        some = min(left, 1000)
        execute([bank.envelope(Deposit(account, bank.money("0.01"))) for _ in range(some)])
        left -= some
    return account


def rebuild(results: Results, is_quick: bool) -> None:
    """Bare `INSERT ... SELECT ... GROUP BY` of every account's balance, beside the rebuild of `accounts`."""
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        (events,) = conn.execute("SELECT count(*) FROM events").fetchone() or (0,)
        conn.execute("CREATE TABLE bench_balances (id uuid PRIMARY KEY, balance bigint, version bigint)")
        began = time.perf_counter()
        conn.execute(
            "INSERT INTO bench_balances"
            " SELECT aggregate_id, sum(coalesce((data->>'amount')::bigint, 0)), max(version)"
            " FROM events GROUP BY aggregate_id"
        )
        bare = time.perf_counter() - began
        conn.execute("DROP TABLE bench_balances")
    began = time.perf_counter()
    model = base.get("accounts")
    assert isinstance(model, base.Inline)
    model.rebuild(lambda done, total: None)
    ours = time.perf_counter() - began
    figure = f"{bare:.2f} s bare, {ours:.2f} s ours on {events:,} events: {bare / ours:.3f}"
    results.extra.append(("rebuild of accounts over bare INSERT ... SELECT", figure, judged_above(bare / ours, 0.3)))
    print(*results.extra[-1], flush=True)
