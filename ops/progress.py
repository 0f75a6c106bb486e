"""Progress of long work on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, told (done, of how many); silent where that is no terminal's."""
    with tqdm(unit=f" {unit}s", disable=None, file=sys.stderr) as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)

        yield show
