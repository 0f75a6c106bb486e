"""The parts that are measured by themselves, each in a process of its own: name to how it is run."""

import os
import subprocess
import sys
from collections.abc import Callable

from tests.benchmarks import loads
from tests.benchmarks.report import Results

LONGEST = 3 * 3600


def _captured(module: str, title: str, quick: dict[str, str]) -> Callable[[Results, bool], None]:
    def run(results: Results, is_quick: bool) -> None:
        # ROUNDS and SECONDS are those of the contenders: each module has defaults of its own.
        own = {name: value for name, value in os.environ.items() if name not in ("ROUNDS", "SECONDS")}
        said = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{module}"],
            env=own | (quick if is_quick else {}),
            stdout=subprocess.PIPE,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        print(said.stdout, flush=True)
        text = said.stdout
        if said.returncode:
            text += f"\nThis part ended with {said.returncode}."
            results.failed.append(title)
        results.texts.append((title, text))

    return run


OTHERS: dict[str, Callable[[Results, bool], None]] = {
    "loads": loads.loads,
    "rebuild": loads.rebuild,
    "operations": _captured("operations", "The register of operations", {"TRANSFERS": "300"}),
    "kafka": _captured("kafka", "Relay and consumers", {"EVENTS": "30000", "ROUNDS": "1", "SECONDS": "3"}),
    "growth": _captured("growth", "Append as events grow", {"SIZES": "20000,200000", "SECONDS": "3"}),
}  # growth and kafka empty the tables: last
