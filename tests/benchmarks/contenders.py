"""Who runs in a round, and how."""

import random
import time
from dataclasses import dataclass, replace

from accounts.domain.commands import Transfer
from accounts.services import Executed, execute
from tests.benchmarks import web
from tests.benchmarks.books import Books
from tests.benchmarks.costs import Meter, transactions_since
from tests.benchmarks.figures import Figure, percentile

BULK = 50


@dataclass(frozen=True)
class Contender:
    """`yardstick` names the spread of R that it is held against; `goals` are ratios to R by concurrency."""

    part: str
    title: str
    kind: str
    spread: str
    clients: tuple[int, ...]
    goals: dict[int, float]
    yardstick: str = "uniform"
    fast_lane: bool = True


HTTP = (
    Contender(
        "transfers", "single transfer over HTTP", "transfers", "uniform", (1, 8, 32), {8: 0.40, 32: 0.80}
    ),
    Contender("hot", "one hot account over HTTP", "transfers", "hot", (8, 32), {8: 1.5, 32: 5.0}, "hot"),
    Contender("zipf", "accounts by Zipf's law over HTTP", "transfers", "zipf", (8, 32), {}),
    Contender("bulk", f"bulk, {BULK} transfers a request", "bulk", "uniform", (8, 32), {8: 2.0, 32: 2.0}),
    Contender("reads", "balance read over HTTP", "balance", "uniform", (8, 32), {8: 1.0, 32: 1.0}),
    Contender(
        "ordinary", "the ordinary route (FAST_LANE=false)", "transfers", "uniform", (8, 32), {8: 0.12, 32: 0.12},
        fast_lane=False,
    ),
)  # fmt: skip


def over_http(books: Books, url: str, contender: Contender, clients: int, seconds: float) -> Figure:
    before, each = books.mark(), BULK if contender.kind == "bulk" else 1
    meter = Meter(web=True)
    figure, answered = web.load(url, contender.kind, contender.spread, clients, seconds, books.token, books.file)
    costs = meter.per(answered * each, transactions_since(before.position))
    books.settle()
    made = 0 if contender.kind == "balance" else answered * each
    wrong = books.wrong(before, made, 0 if contender.kind == "balance" else clients * each)
    return Figure(figure.rate * each, figure.p50, figure.p99, figure.errors, wrong, costs)


def bare(books: Books, url: str, clients: int, seconds: float) -> Figure:
    """Requests as those for transfers, to a web server with no bank behind it."""
    meter = Meter(web=True)
    figure, answered = web.load(url, "transfers", "uniform", clients, seconds, books.token, books.file)
    return replace(figure, costs=replace(meter.per(answered), postgres=None))


def in_process(books: Books, batch: int, seconds: float) -> Figure:
    """`execute()` from one thread, each command with an idempotency key."""
    before, chance, done, errors = books.mark(), random.Random(6), 0, 0
    times: list[float] = []
    run = f"{time.time_ns()}"
    meter, python = Meter(web=False), time.thread_time()
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        envelopes = []
        for number in range(batch):
            source, target = chance.sample(books.ids, 2)
            command = Transfer(source, target, books.bank.money("0.01"))
            envelopes.append(books.bank.envelope(command, key=f"{run}-{len(times)}-{number}"))
        outcomes = execute(envelopes)
        executed = sum(isinstance(outcome, Executed) for outcome in outcomes)
        done, errors = done + executed, errors + batch - executed
        times.append((time.perf_counter() - now) * 1000)
    elapsed, python = time.perf_counter() - began, time.thread_time() - python
    costs = replace(meter.per(done), web=1e6 * python / done if done else None, batch=batch)
    ordered = sorted(times)
    wrong = books.wrong(before, done)
    return Figure(done / elapsed, percentile(ordered, 0.5), percentile(ordered, 0.99), errors, wrong, costs)
