"""The load of an account by the length of its stream, and rebuilding balances as a set."""

import os
import statistics
import time
from typing import Any
from uuid import UUID

import psycopg

from accounts.domain.commands import Deposit
from accounts.projections.daily_balances import DailyBalances
from accounts.services import execute
from eventstore.models import Event
from eventstore.projections import base
from eventstore.projections.rebuild import rebuild as rebuild_model
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


BARE = {
    "accounts": (
        "CREATE TABLE bench_bare (id uuid PRIMARY KEY, balance bigint, version bigint)",
        "INSERT INTO bench_bare"
        " SELECT aggregate_id, sum(coalesce((data->>'amount')::bigint, 0)), max(version)"
        " FROM events GROUP BY aggregate_id",
    ),
    "daily_balances": (
        "CREATE TABLE bench_bare (id uuid, day date, amount bigint, postings bigint, version bigint,"
        " PRIMARY KEY (id, day))",
        "INSERT INTO bench_bare"
        " SELECT aggregate_id, (timestamp AT TIME ZONE 'UTC')::date AS day, sum((data->>'amount')::bigint), count(*),"
        " max(version) FROM events WHERE data ? 'amount' GROUP BY aggregate_id, day",
    ),
}
"""A table and the statement that fills it from all events, with nothing beside."""


def rebuild(results: Results, is_quick: bool) -> None:
    """Rebuilds beside bare `INSERT ... SELECT ... GROUP BY`: of a projection, by its statement and by its fold in
    Python, and of `accounts`, which is folded stream by stream under the streams' locks, in place."""
    daily, folded = DailyBalances(), DailyBalances()
    folded.set_based = ""  # type: ignore[misc]  # of this one
    catch_up([daily])
    bare = _bare("daily_balances")
    _tell(results, "rebuild of daily_balances by statement", bare, _took(daily), goal=0.3)
    _tell(results, "rebuild of daily_balances by fold", bare, _took(folded))
    model = base.get("accounts")
    assert isinstance(model, base.Inline)
    _tell(results, "rebuild of accounts by fold, in place", _bare("accounts"), _took(model))


def _bare(name: str) -> float:
    """Seconds, the median of three."""
    table, fill = BARE[name]
    times = []
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"], autocommit=True) as conn:
        conn.execute("SET work_mem = '64MB'")  # of too many groups expected, it would sort all events instead
        for _ in range(3):
            conn.execute(table.encode())
            began = time.perf_counter()
            conn.execute(fill.encode())
            times.append(time.perf_counter() - began)
            conn.execute("DROP TABLE bench_bare")
    return statistics.median(times)


def _took(model: base.Projection[Any] | base.Inline) -> float:
    """Seconds; it must not have found anything to mend."""
    began = time.perf_counter()
    report = rebuild_model(model, lambda done, total: None)
    if report.repaired:
        raise SystemExit(f"The rebuild of {model.name} mended {report.repaired} rows.")
    return time.perf_counter() - began


def _tell(results: Results, what: str, bare: float, ours: float, goal: float | None = None) -> None:
    figure = f"{bare:.2f} s bare, {ours:.2f} s ours on {Event.objects.count():,} events: {bare / ours:.3f}"
    judged = judged_above(bare / ours, goal) if goal else ""
    results.extra.append((f"{what} over bare INSERT ... SELECT ... GROUP BY", figure, judged))
    print(*results.extra[-1], flush=True)
