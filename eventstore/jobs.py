"""What staff have done with streams and read models as jobs: replay, recover, retry, rebuild, swap, undo."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Min

from eventstore import projections
from eventstore.errors import EventStoreError
from eventstore.models import DeadLetter, Stream
from eventstore.projections import dead_letters
from eventstore.projections.base import Projection, Report, unfinished
from eventstore.projections.rebuild import rebuild, undo
from eventstore.projections.replay import replay
from eventstore.recovery import recover
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, JobFailed, Order, register_action

EVERYTHING = "all"
PAGE = 500
REPEAT = "What was finished stays. Start it anew: it can be repeated safely."
LINES = 200
"""Lines on single streams in a report; the rest is in its sums."""
MOST_STREAMS = 10_000
"""Most streams that one job retries: those that have waited longest."""


def register() -> None:
    for action in (REPLAY, RECOVER, RETRY, COMPARE, SWAP, UNDO):
        register_action(action)


def _streams(chosen: list[str] | str) -> tuple[int, Iterator[UUID]]:
    """How many there are, and one after another, in id order, from a table of any size."""
    if chosen != EVERYTHING:
        return len(chosen), (UUID(item) for item in chosen)
    return Stream.objects.count(), _all_streams()


def _all_streams() -> Iterator[UUID]:
    last = UUID(int=0)
    while True:
        ids = list(Stream.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE])
        yield from ids
        if len(ids) < PAGE:
            return
        last = ids[-1]


def _each_stream(
    order: Order, progress: Progress, one: Callable[[UUID, bool], tuple[int, str]], verb: str
) -> Sequence[str]:
    """`one` mends a stream (or says what it would) and returns how many rows were wrong, and a line on it."""
    dry_run = bool(order.input.get("dry_run"))
    total, streams = _streams(order.input["streams"])
    progress.step("Only looking" if dry_run else verb)
    lines: list[str] = []
    wrong = failed = seen = 0
    for aggregate_id in streams:
        progress.advance(seen, total)
        seen += 1
        try:
            repaired, line = one(aggregate_id, dry_run)
        except EventStoreError as error:
            failed += 1
            repaired, line = 0, f"not done: {error}"
            progress.log(f"{aggregate_id}: {line}")
        wrong += repaired
        if (repaired or total <= LINES) and len(lines) < LINES:
            lines.append(f"{aggregate_id}: {line}")
    progress.advance(seen, total)
    were = "would be mended" if dry_run else "were mended"
    summary = f"{seen} streams, {wrong} rows {were}, {failed} streams not done."
    if failed:
        raise JobFailed(summary, [summary, *lines])
    return [summary, *lines]


def _replay(order: Order, progress: Progress) -> Sequence[str]:
    version = int(order.input.get("from_version", 1))

    def one(aggregate_id: UUID, dry_run: bool) -> tuple[int, str]:
        done = replay(aggregate_id, from_version=version, dry_run=dry_run, progress=_inside(progress))
        told = ", ".join(f"{r.read_model} {r.events} events, {r.repaired} rows wrong" for r in done)
        return sum(result.repaired for result in done), told

    return _each_stream(order, progress, one, "Replaying")


def _recover(order: Order, progress: Progress) -> Sequence[str]:
    def one(aggregate_id: UUID, dry_run: bool) -> tuple[int, str]:
        found = recover(aggregate_id, dry_run=dry_run, progress=_inside(progress))
        told = f"version {found.version}, {found.bad_snapshots} wrong snapshots, {found.repaired} rows wrong"
        return found.repaired + found.bad_snapshots, told

    return _each_stream(order, progress, one, "Recovering")


def _inside(progress: Progress) -> Callable[[int, int], None]:
    """Within one stream, only a place to stop at."""
    return lambda done, total: progress.check()


def _retry(order: Order, progress: Progress) -> Sequence[str]:
    """Each stream of each read model once: a retry takes all that waits of it."""
    waiting = DeadLetter.objects.filter(state__in=("failed", "parked"))
    if order.input["letters"] != EVERYTHING:
        waiting = waiting.filter(pk__in=order.input["letters"])
    by_stream = waiting.values_list("projection", "aggregate_id").annotate(letter=Min("pk"))
    streams = list(by_stream.order_by("letter")[:MOST_STREAMS])
    progress.step("Retrying")
    lines: list[str] = []
    applied = left = 0
    for number, (name, aggregate_id, letter_id) in enumerate(streams):
        progress.advance(number, len(streams))
        try:
            done = dead_letters.retry(letter_id, by=order.actor)
        except EventStoreError as error:
            lines.append(f"{name}, stream {aggregate_id}: {error}")
            continue
        applied, left = applied + done.applied, left + done.left
        stopped = f", stopped by {done.error}" if done.error else ""
        lines.append(f"{name}, stream {aggregate_id}: {done.applied} applied, {done.left} still wait{stopped}")
    progress.advance(len(streams), len(streams))
    return [f"{len(streams)} streams: {applied} events were applied, {left} still wait.", *lines]


def read_model_of(command: dict[str, Any]) -> Any:
    """
    Raises:
        JobFailed: there is none of that name.
    """
    try:
        return projections.get(command["name"])
    except LookupError as error:
        raise JobFailed(str(error)) from error


def _rebuild(order: Order, progress: Progress, *, dry_run: bool) -> Sequence[str]:
    read_model = read_model_of(order.input)
    progress.step("Filling the tables anew" if isinstance(read_model, Projection) else "Comparing with the events")
    try:
        return told(read_model.name, rebuild(read_model, progress, dry_run=dry_run))
    except EventStoreError as error:
        raise JobFailed(f"{unfinished(read_model, dry_run=dry_run)}: {error}.") from error


def told(name: str, report: Report) -> list[str]:
    wrong = "were wrong before: they are mended" if report.swapped else "are wrong now: nothing was changed"
    made = f"{name}: {report.events} events applied, {report.rows} rows made, {report.repaired} of them {wrong}."
    return [made, *([f"Before this, {report.left_out}"] if report.left_out else [])]


def _undo(order: Order, progress: Progress) -> Sequence[str]:
    progress.step("Putting the replaced tables back")
    try:
        undo(read_model_of(order.input))
    except EventStoreError as error:
        raise JobFailed(f"Nothing was changed: {error}.") from error
    return ["The tables that the last rebuild replaced are in use again, and catch up from where they were left."]


REPLAY = JobAction("replay_stream", "Replay streams", "eventstore.replay_stream", _replay, REPEAT)
RECOVER = JobAction("recover_stream", "Recover streams", "eventstore.recover_stream", _recover, REPEAT)
RETRY = JobAction("retry_dead_letters", "Retry dead letters", "eventstore.resolve_deadletter", _retry, REPEAT)
COMPARE = JobAction(
    "compare_projection",
    "Compare with a rebuild",
    "eventstore.rebuild_projection",
    lambda order, progress: _rebuild(order, progress, dry_run=True),
    "The read model in use was not touched; the copy is thrown away by the next rebuild. Start it anew.",
)
SWAP = JobAction(
    "swap_projection",
    "Rebuild and swap",
    "eventstore.rebuild_projection",
    lambda order, progress: _rebuild(order, progress, dry_run=False),
    "Either the old tables are in use or the new ones, never a mixture: compare again to see which. Of a read model "
    "that is mended in place, rows that were mended stay so: it can be begun anew.",
)
UNDO = JobAction(
    "undo_projection",
    "Undo the last rebuild",
    "eventstore.rebuild_projection",
    _undo,
    "Either it was undone as a whole or not at all: the generation on the projection's page tells.",
)
