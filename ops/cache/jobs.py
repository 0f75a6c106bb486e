"""Emptying a cache as a job."""

from collections.abc import Sequence

from ops.access.permissions import RESET_POOL
from ops.cache.emptying import RedisFailed, empty_memories, empty_shared
from ops.cache.registry import browsable
from ops.jobs.progress import Progress
from ops.jobs.registry import JobAction, JobFailed, Order


def _evict(order: Order, progress: Progress) -> Sequence[str]:
    try:
        kept = browsable(order.input["cache"]).cache().shared
    except LookupError as error:
        raise JobFailed(f"Nothing was evicted: there is no cache {error}.") from error
    progress.step("Removing from Redis")
    try:
        removed = empty_shared(kept, progress.advance)
    except RedisFailed as error:
        raise JobFailed(
            f"{error}: {error.removed} keys were removed by then. Reads are right all the same; ask again when it "
            "answers."
        ) from error
    progress.step("Emptying the memories of the processes")
    asked, missing = empty_memories()
    report = [
        f"{removed} keys were removed from Redis.",
        f"{asked - len(missing)} of {asked} processes were emptied.",
    ]
    if missing:
        report.append(
            f"Processes {', '.join(map(str, missing))} have not answered. What they hold is confirmed with "
            "PostgreSQL before it is shown."
        )
    return report


EVICT = JobAction(
    name="evict_cache",
    title="Empty the cache",
    permission=RESET_POOL,
    run=_evict,
    if_interrupted="What was removed stays removed, and no read is wrong for it. Start it anew for the rest.",
)
