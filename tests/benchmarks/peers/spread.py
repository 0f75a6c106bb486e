# mypy: ignore-errors
"""The same work from several processes with several threads each, for a while."""

import multiprocessing
import threading
import time
from collections.abc import Callable

PROCESSES = 8
Work = Callable[[], object]


def measure(connect: Callable[[], Work], clients: int, seconds: float) -> dict[str, object]:
    """`connect` runs once in each process and gives what each of its threads repeats."""
    context = multiprocessing.get_context("spawn")
    processes = min(PROCESSES, clients)
    ready, queue = context.Barrier(processes), context.SimpleQueue()
    arguments = (connect, clients // processes, seconds, ready, queue)
    children = [context.Process(target=_child, args=arguments) for _ in range(processes)]
    for child in children:
        child.start()
    found = [queue.get() for _ in children]
    for child in children:
        child.join()
    if troubles := [each for each in found if isinstance(each, str)]:
        raise SystemExit("\n".join(troubles))
    times = sorted(time for some, _ in found for time in some)
    errors = sum(count for _, count in found)
    return {
        "count": len(times),
        "rate": len(times) / seconds,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
        "errors": errors,
    }


def _child(connect: Callable[[], Work], threads: int, seconds: float, ready: object, queue: object) -> None:
    try:
        queue.put(_repeated(connect, threads, seconds, ready))  # type: ignore[attr-defined]
    except Exception as error:  # without a word the others would be waited for, for ever
        ready.abort()  # type: ignore[attr-defined]
        queue.put(repr(error))  # type: ignore[attr-defined]


def _repeated(connect: Callable[[], Work], threads: int, seconds: float, ready: object) -> tuple[list[float], int]:
    work, times, errors = connect(), [], []

    def repeat() -> None:
        while (began := time.perf_counter()) < end:
            try:
                work()
            except Exception as error:
                errors.append(repr(error))
            else:
                times.append((time.perf_counter() - began) * 1000)

    work()  # connected
    ready.wait(60)  # type: ignore[attr-defined]
    end = time.perf_counter() + seconds
    running = [threading.Thread(target=repeat) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return times, len(errors)
