"""What a transfer costs in processor time, and how many share a transaction: why a ratio is what it is.

From /proc, so of servers on this machine; of PostgreSQL on another one nothing is told.
"""

import os
from collections import defaultdict
from pathlib import Path

from django.db import connection

from tests.benchmarks.figures import Costs

TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM events WHERE position > %s"
_TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """Measures from when it is made. `web`: whether the web server is a child of this process."""

    def __init__(self, *, web: bool) -> None:
        self._postmaster = _postmaster()
        self._web = web
        self._before = self._taken()

    def per(self, transfers: float, transactions: int | None = None) -> Costs:
        """The costs of each of so many transfers (or reads), done in so many transactions."""
        seconds = [now - before for now, before in zip(self._taken(), self._before, strict=True)]
        postgres, web = (1e6 * each / transfers if transfers and each else None for each in seconds)
        return Costs(postgres, web, transfers / transactions if transactions else None)

    def _taken(self) -> tuple[float, float]:
        """Seconds that PostgreSQL and the web server have taken so far."""
        family = _family()
        postgres = _seconds(self._postmaster, family, with_ended=True) if self._postmaster else 0.0
        return postgres, sum(_seconds(child, family) for child in family[os.getpid()]) if self._web else 0.0


def transactions_since(position: int) -> int:
    """How many have written the events behind a position."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSACTIONS, [position])
        return int(cursor.fetchone()[0])


def _postmaster() -> int | None:
    """The parent of this connection's backend, where both run here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    name = Path(f"/proc/{backend}/comm")
    return _parent(backend) if name.exists() and name.read_text(encoding="utf-8").startswith("postgres") else None


def _family() -> dict[int, list[int]]:
    """The children of each process."""
    children = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(int(entry))) is not None:
            children[parent].append(int(entry))
    return children


def _seconds(process: int, family: dict[int, list[int]], *, with_ended: bool = False) -> float:
    """Of a process and its descendants; `with_ended`: and of its children that have ended."""
    fields = _stat(process)
    if fields is None:
        return 0.0
    own = sum(map(int, fields[11 : 15 if with_ended else 13])) / _TICKS
    return own + sum(_seconds(child, family) for child in family.get(process, ()))


def _parent(process: int) -> int | None:
    fields = _stat(process)
    return int(fields[1]) if fields else None


def _stat(process: int) -> list[str] | None:
    """The fields behind the name (proc(5): from the third, the state); None for one that has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
