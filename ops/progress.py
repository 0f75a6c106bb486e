"""Progress of long work on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from ops.operations import step

STEP_EVERY = 1.0


@contextmanager
def bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, told (done, of how many); silent where that is no terminal's.

    The operation in hand tells the same, once a second, to whoever looks from outside.
    """
    told_at = 0.0
    with tqdm(unit=f" {unit}s", disable=None, file=sys.stderr) as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)
            nonlocal told_at
            if time.monotonic() - told_at > STEP_EVERY:
                told_at = time.monotonic()
                step(f"{done} of {total} {unit}s")

        yield show
