"""The table: medians, ratios to R in the same round, goals, and the machine."""

import os
import platform
import statistics
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psycopg

from ops.embedded.layout import ROOT
from tests.benchmarks import yardstick
from tests.benchmarks.figures import Figure

FILE = ROOT / "docs" / "benchmarks.md"
HEAD = """\
# How fast it is

Written by `make bench`; no figure on speed elsewhere in this project comes from anywhere else. `QUICK=1 make bench`
takes under five minutes; `ROUNDS=5 SECONDS=5` set how often and how long each contender runs; and
`ONLY=transfers,bulk make bench` runs some parts and prints them without writing this file:
{parts}.

R is one PL/pgSQL function that moves money between two of 1,000 accounts (tests/benchmarks/yardstick.sql), called by
prepared pgbench on the same server. A ratio is the contender's rate over that of R at the same concurrency in the
same round; rates, times and ratios are medians of the rounds. Load comes from wrk, on the same cores. After each
contender the books are checked: money unchanged, every transaction sums to zero, no hole in the versions, and as many
transfers made as acknowledged. Relay, consumers and other services do not run meanwhile.

The two columns in µs are the processor time that PostgreSQL and the web server (in process: the Python that calls)
take for one transfer or read, so what is left of the cores is the load's own and the kernel's; then, how many
commands share a transaction.
"""
LOCK = ROOT / "requirements" / "bench.txt"
PEERS = ("eventsourcing==", "django-hordak==")
COLUMNS = (
    "c",
    "ratio to R",
    "a second",
    "p50 ms",
    "p99 ms",
    "PostgreSQL µs",
    "web µs",
    "a transaction",
    "goal",
    "errors",
)
COSTS = (("postgres", ",.0f"), ("web", ",.0f"), ("batch", ".1f"))
"""Of `Costs`, in the order of the columns, and how each is written."""
SERVERS = ("postgres", "web")
BUDGETS = (
    "",
    "What a goal that was missed leaves for one transfer or read, in µs of all cores, and what is used of them; the "
    "rest is the load, the kernel's part of it, and cores with nothing to do:",
    "",
    "| | c | for the goal | now | PostgreSQL and web | rest |",
    "|---|---|---|---|---|---|",
)
NEEDED = (
    "",
    "What would be needed, where these two alone take more than the goal leaves: HTTP, rules and hashes outside of "
    "the interpreter, whose time goes into objects and cold caches rather than into bytecode (the same code compiled "
    "ahead of time takes about as long); and narrower events, since PostgreSQL writes for each transfer what R does "
    "not have: data and metadata of two events as JSON, three more indexes on each, the heads of two streams, and "
    "the record of the key.",
)
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "wal_compression", "shared_buffers", "max_wal_size")


class Results:
    """Figures by (title, concurrency), in the order in which they came, with their ratios."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, int], list[Figure]] = defaultdict(list)
        self.ratios: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.goals: dict[tuple[str, int], float] = {}
        self.texts: list[tuple[str, str]] = []
        self.extra: list[tuple[str, str, str]] = []
        """Further rows: what, the figure, goal and whether it was met."""
        self.failed: list[str] = []
        """Parts that did not run to their end."""

    def add(
        self, title: str, clients: int, figure: Figure, ratio_to: Figure | None, goal: float | None = None
    ) -> None:
        self.figures[title, clients].append(figure)
        if ratio_to is not None:
            self.ratios[title, clients].append(figure.rate / ratio_to.rate)
        if goal is not None:
            self.goals[title, clients] = goal
        ratio = f"  {self.ratios[title, clients][-1]:.2f} R" if ratio_to is not None else ""
        trouble = f"  {figure.errors} ERRORS" if figure.errors else ""
        trouble += f"  WRONG: {'; '.join(figure.wrong)}" if figure.wrong else ""
        print(f"{title:<45} c{clients:<3} {figure.rate:>9,.0f}/s{ratio}{trouble}", flush=True)

    def is_sound(self) -> bool:
        return not self.failed and not any(
            figure.errors or figure.wrong for some in self.figures.values() for figure in some
        )

    def table(self) -> str:
        lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
        lines += [self._row(title, clients) for title, clients in self.figures]
        lines += self._budgets()
        if self.extra:
            lines += ["", "| | | goal |", "|---|---|---|"]
            lines += [f"| {what} | {figure} | {goal} |" for what, figure, goal in self.extra]
        for title, text in self.texts:
            lines += ["", f"## {title}", "", "```", text.strip(), "```"]
        return "\n".join(lines)

    def _budgets(self) -> list[str]:
        """What would be needed for each goal that was missed: all cores together have a million µs each a second."""
        lines = []
        for (title, clients), goal in self.goals.items():
            ratio, figures = statistics.median(self.ratios[title, clients]), self.figures[title, clients]
            if ratio < goal:
                took = 1e6 * (os.cpu_count() or 1) / statistics.median(figure.rate for figure in figures)
                costs = [_median([getattr(figure.costs, name) for figure in figures]) or 0.0 for name in SERVERS]
                cells = [f"{each:,.0f}" for each in (took * ratio / goal, took, sum(costs), took - sum(costs))]
                lines.append(f"| {title} | {clients} | {' | '.join(cells)} |")
        return [*BUDGETS, *lines, *NEEDED] if lines else []

    def _row(self, title: str, clients: int) -> str:
        figures, ratios = self.figures[title, clients], self.ratios[title, clients]
        ratio = statistics.median(ratios) if ratios else None
        goals = [_judged(ratio, self.goals.get((title, clients)))]
        p99 = _median([figure.p99 for figure in figures])
        if title == "single transfer over HTTP" and clients == 8 and p99 is not None:
            goals.append(f"p99 < 25 ms: {'met' if p99 < 25 else 'missed'}")
        trouble = [str(errors)] if (errors := sum(figure.errors for figure in figures)) else []
        trouble += sorted({sentence for figure in figures for sentence in figure.wrong})
        cells = [
            title,
            str(clients),
            f"{ratio:.2f}" if ratio is not None else "",
            f"{statistics.median(figure.rate for figure in figures):,.0f}",
            _number(_median([figure.p50 for figure in figures]), ".1f"),
            _number(p99, ".1f"),
            *(_number(_median([getattr(figure.costs, name) for figure in figures]), form) for name, form in COSTS),
            "; ".join(filter(None, goals)),
            "; ".join(trouble) or "none",
        ]
        return f"| {' | '.join(cells)} |"


def judged_below(value: float, most: float) -> str:
    return f"<= {most}: {'met' if value <= most else 'missed'}"


def _judged(ratio: float | None, goal: float | None) -> str:
    if ratio is None or goal is None:
        return ""
    return f">= {goal}: {'met' if ratio >= goal else f'missed by {(1 - ratio / goal) * 100:.0f} %'}"


def judged_above(value: float, least: float) -> str:
    return _judged(value, least)


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def machine() -> str:
    with psycopg.connect(os.environ["DATABASE_SUPERUSER_URL"]) as conn:
        server = conn.info.parameter_status("server_version")
        shown = [f"{name} {_shown(conn, name)}" for name in SETTINGS]
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) // 1024**2 for line in _lines("/proc/meminfo") if "MemTotal" in line), 0)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("django", "djangorestframework", "psycopg", "granian")
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} cores of {cpu}, {memory} GiB; PostgreSQL {server} "
        f"({', '.join(shown)}); Python {platform.python_version()}, {packages}; {', '.join(_tools())}."
    )


def _tools() -> list[str]:
    """Versions of the peers and of what makes the load."""
    pins = (line.split()[0] for line in _lines(str(LOCK)) if line.startswith(PEERS))
    said = [
        subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.split("\n")[0]
        for command in (["wrk", "-v"], [yardstick.program() or "pgbench", "--version"])
    ]
    return [*(pin.replace("==", " ") for pin in pins), *(" ".join(each.split()[:3]) for each in said)]


def _shown(conn: psycopg.Connection, name: str) -> str:
    (value,) = conn.execute("SELECT current_setting(%s)", [name]).fetchone() or ("",)
    return str(value)


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def document(results: Results, parts: str, how: str) -> str:
    return f"{HEAD.format(parts=parts)}\n{machine()} {how}\n\n{results.table()}\n"
