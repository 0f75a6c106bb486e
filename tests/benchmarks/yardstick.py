"""The yardstick R: one PL/pgSQL function called by prepared pgbench, on the server that the bank uses."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from ops.embedded.binaries import find_postgres
from tests.benchmarks.costs import Meter
from tests.benchmarks.databases import as_variables, fresh
from tests.benchmarks.figures import Figure, percentile

HERE = Path(__file__).parent
SCRIPTS = {
    "uniform": (
        "\\set source random(1, 1000)\n\\set step random(1, 999)\n"
        "\\set target 1 + (:source - 1 + :step) % 1000\nSELECT transfer(:source, :target, 1);\n"
    ),
    "hot": (
        "\\set other random(2, 1000)\n\\set way random(0, 1)\n"
        "\\set source 1 + :way * (:other - 1)\n\\set target :other - :way * (:other - 1)\n"
        "SELECT transfer(:source, :target, 1);\n"
    ),
}


def program() -> str | None:
    """pgbench of the PATH, else of the PostgreSQL that the launcher finds."""
    beside = find_postgres(os.environ, None)["pgbench"]
    return shutil.which("pgbench") or (str(beside) if os.access(beside, os.X_OK) else None)


class Yardstick:
    def __init__(self) -> None:
        pgbench = program()
        if pgbench is None:
            raise SystemExit("The yardstick needs pgbench: install the package postgresql-contrib or postgresql.")
        self._pgbench = pgbench
        self.address = fresh("bench_yardstick")
        with psycopg.connect(self.address, autocommit=True) as conn:
            conn.execute((HERE / "yardstick.sql").read_bytes())
            conn.execute("ANALYZE")

    def measure(self, spread: str, clients: int, seconds: float) -> Figure:
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "transfer.sql"
            script.write_text(SCRIPTS[spread], encoding="ascii")
            command = [self._pgbench, "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2))]
            command += ["-T", str(max(1, round(seconds))), "-f", str(script), "-l", "--sampling-rate=0.1"]
            meter = Meter(web=False)
            said = subprocess.run(
                command,
                cwd=directory,
                env=os.environ | as_variables(self.address),
                capture_output=True,
                text=True,
                timeout=seconds + 60,
                check=False,
            )
            rate = re.search(r"^tps = ([\d.]+)", said.stdout, re.MULTILINE)
            if said.returncode or rate is None:
                raise SystemExit(f"pgbench did not run: {said.stderr.strip()}")
            costs = meter.per(float(rate[1]) * max(1, round(seconds)))
            times = sorted(
                int(line.split()[2]) / 1000
                for log in Path(directory).glob("pgbench_log.*")
                for line in log.read_text(encoding="ascii").splitlines()
            )
        p50, p99 = (percentile(times, 0.5), percentile(times, 0.99)) if times else (None, None)
        return Figure(float(rate[1]), p50, p99, wrong=self._wrong(), costs=costs)

    def _wrong(self) -> tuple[str, ...]:
        """The yardstick's own books, so that it is known to have done the work."""
        with psycopg.connect(self.address) as conn:
            row = conn.execute(
                "SELECT (SELECT sum(balance) FROM balances), (SELECT sum(version) FROM balances),"
                " (SELECT count(*) FROM events)"
            ).fetchone()
        assert row is not None
        money, versions, events = row
        wrong = [] if money == 1000 * 100_000_000 else [f"the yardstick's money is {money}"]
        return (*wrong, *([] if versions == events else [f"the yardstick has {events} events, {versions} versions"]))
