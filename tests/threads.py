"""Running things at the same time, with connections that are given back."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Runs all actions at once, one thread each, started at the same moment; their results in order."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], T]) -> T:
        try:
            barrier.wait(timeout=30)
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result(timeout=90) for future in [pool.submit(run, action) for action in actions]]
