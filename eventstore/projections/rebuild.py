"""Rebuilding a read model without downtime: the next generation is filled beside the active one, then swapped in.

The old tables stay in the schema `previous`, with their checkpoints, so that the swap can be undone: the runner
then catches up from where they were left. Idea: Marten's blue/green rebuilds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import stamina
import structlog
from django.db import DatabaseError, OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from eventstore import feed
from eventstore.errors import EventStoreError, SideEffects, StoreBusy
from eventstore.feed import Page
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.applying import apply_fresh, apply_range
from eventstore.projections.base import Inline, Progress, Projection, Report
from eventstore.projections.checkpoints import Generation, Outdated
from ops.conf import get_settings
from ops.database.locks import session_lock
from ops.timeouts import each_statement

log = structlog.get_logger(__name__)

CLOSE_ENOUGH = 2000
"""Positions: with fewer left to do the swap begins, during which following the feed waits."""
RANGE = 100_000
"""Positions that a projection's statement takes at once."""
STATEMENT_LIMIT = 600
"""Seconds, of one statement that compares whole tables."""
LONGEST_SILENCE = 6 * STATEMENT_LIMIT
"""Seconds between two calls of a rebuild's progress: none is made during the comparison, of a few such statements,
and while the swap waits."""
SWAP_ATTEMPTS, SWAP_AGAIN_IN = 12, 5.0
"""How often the locks of the swap are asked for, and seconds in between: a rebuild of hours is not for throwing away
over a reader of a minute."""


class NothingToUndo(EventStoreError):
    """There is no previous generation to go back to."""


def rebuild(read_model: Projection[Any] | Inline, progress: Progress, *, dry_run: bool = False) -> Report:
    """Makes a read model anew: an inline one is mended in place; for a projection a new generation is filled from the
    whole feed, compared with the active one and swapped in.

    Reading goes on all the while; following the feed pauses for the comparison and the swap. With `dry_run` the new
    generation is thrown away after the comparison: the report says what a swap would have mended.

    Raises:
        StoreBusy: it is being rebuilt by someone else, the books are being proved, or somebody else reads its tables
            for minutes.
        Paused: a person wants it to stay as it is; the comparison would carry it on.
        SideEffects: it has some, which a rebuild would repeat.
        UnknownEventType, ProjectionBroken: the new generation cannot be filled; the active one was not touched.
    """
    if isinstance(read_model, Inline):
        with checkpoints.waits_in_words(read_model.name):
            return read_model.rebuild(progress, dry_run=dry_run)
    projection = read_model
    if projection.has_side_effects:
        raise SideEffects(f"{projection.name} cannot be rebuilt: all that was ever sent would be sent again")
    shards = feed.require_shard_count()
    with checkpoints.waits_in_words(projection.name), _alone(projection):
        following = _prepare(projection, shards)
        try:
            events = 0
            while feed.mark() - _reached(following) > CLOSE_ENOUGH:
                events += _fill(projection, following, shards, "shadow", progress)
            return _finish(projection, following, shards, events, progress, dry_run)
        except BaseException:
            if not connection.in_atomic_block:
                _try_to_throw_away(projection)
            raise


def undo(projection: Projection[Any]) -> None:
    """Puts the tables that the last rebuild replaced back, with their checkpoints and dead letters. Those that older
    code has filled are for that code to go on with, or to be made anew.

    Raises:
        NothingToUndo: no rebuild has been made, or it was undone before.
        StoreBusy: as `rebuild`.
    """
    with (
        checkpoints.waits_in_words(projection.name),
        _alone(projection),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        checkpoints.claim(cursor, projection.name)
        current = checkpoints.active(cursor, projection.name)
        cursor.execute(
            "SELECT max(generation) FROM projection_checkpoints WHERE projection = %s AND generation < %s",
            (projection.name, current.number),
        )
        (before,) = cursor.fetchone()
        if before is None or not _all_kept(cursor, projection.tables):
            raise NothingToUndo(f"projection {projection.name} has no previous generation to go back to")
        for table in projection.tables:
            cursor.execute("SELECT swap_table(%s, 'previous', 'shadow')", (table,))
            cursor.execute("SELECT drop_shadow(%s)", (table,))
        _activate(cursor, projection, Generation(projection.name, before), replaced=current)


@contextmanager
def _alone(projection: Projection[Any]) -> Iterator[None]:
    with session_lock(_lock_of(projection.name)) as held:
        if not held:
            raise StoreBusy(
                f"projection {projection.name} is being rebuilt by someone else, or the books are being proved: "
                "wait for that"
            )
        yield


@contextmanager
def tables_stay(names: Iterable[str]) -> Iterator[None]:
    """Nobody replaces the tables of these projections during the block, over any number of transactions. Any number
    may ask for that at once.

    Raises:
        StoreBusy: one is being rebuilt.
    """
    with ExitStack() as held:
        for name in names:
            if not held.enter_context(session_lock(_lock_of(name), shared=True)):
                raise StoreBusy(f"projection {name} is being rebuilt or compared: wait for that")
        yield


def _lock_of(name: str) -> str:
    return f"rebuild:{name}"


def _prepare(projection: Projection[Any], shards: int) -> Generation:
    """Empty shadow tables and checkpoints of the next generation."""
    with transaction.atomic(), connection.cursor() as cursor:
        checkpoints.begin(cursor, projection, shards)
        active = checkpoints.unpaused(cursor, projection)
        _forget_unused(cursor, active)
        following = Generation(projection.name, _last_number(cursor, active) + 1)
        for table in projection.tables:
            cursor.execute("SELECT create_shadow(%s)", (table,))
        checkpoints.make(cursor, following, shards)
    return following


def _throw_away(projection: Projection[Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table in projection.tables:
            cursor.execute("SELECT drop_shadow(%s)", (table,))
        _forget_unused(cursor, checkpoints.active(cursor, projection.name))


def _try_to_throw_away(projection: Projection[Any]) -> None:
    """After a failure, which is what the caller is to hear of."""
    try:
        _throw_away(projection)
    except DatabaseError as error:
        log.warning("shadow_is_left_to_the_next_rebuild", projection=projection.name, error=repr(error))


def _forget_unused(cursor: Any, active: Generation) -> None:
    """Checkpoints and letters of a generation that was not swapped in. (One that was undone has no checkpoints, and
    its letters stay on record.)"""
    cursor.execute(
        "WITH gone AS (DELETE FROM projection_checkpoints WHERE projection = %s AND generation > %s"
        " RETURNING generation)"
        " DELETE FROM dead_letters WHERE projection = %s AND generation IN (SELECT generation FROM gone)",
        (active.projection, active.number, active.projection),
    )


def _last_number(cursor: Any, active: Generation) -> int:
    """Of the generations that there are and those that letters are left of: their numbers are not used again."""
    cursor.execute(
        "SELECT greatest(%s, max(generation)) FROM dead_letters WHERE projection = %s",
        (active.number, active.projection),
    )
    return int(cursor.fetchone()[0])


def _reached(generation: Generation) -> int:
    with connection.cursor() as cursor:
        return min(checkpoints.read(cursor, generation).values())


def _fill(projection: Projection[Any], generation: Generation, shards: int, schema: str, progress: Progress) -> int:
    """Applies one batch to the tables of a generation, which lie in `schema`; returns how many events it held."""
    batch_size = get_settings().projection_batch_size
    mark = feed.mark()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL search_path = {schema}, public")
        positions = checkpoints.lock(cursor, generation, range(shards))
        after, count = min(positions.values()), None
        if after == max(positions.values()):
            first = feed.first_after(after, mark) or mark  # what lies before it is a hole, however wide
            reached = min(mark, first + RANGE - 1)
            count = apply_range(projection, generation, after, reached, cursor)
        if count is None:
            refs, reached = feed.read_refs(after=after, upto=mark, limit=batch_size, shards=shards)
            fresh = [ref for ref in refs if ref.position > positions[ref.shard]]
            apply_fresh(projection, generation, Page(refs), fresh, cursor)
            count = len(refs)
        checkpoints.move(cursor, generation, dict.fromkeys(range(shards), reached))
        cursor.execute("SET LOCAL search_path = public")
    progress(reached, mark)
    return count


def _finish(
    projection: Projection[Any], following: Generation, shards: int, events: int, progress: Progress, dry_run: bool
) -> Report:
    """Brings both generations to the end of the feed, compares them, and swaps: nobody else applies meanwhile."""
    with each_statement(STATEMENT_LIMIT), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_LIMIT}s'")
        _patiently(lambda: checkpoints.claim(cursor, projection.name))
        current = checkpoints.unpaused(cursor, projection)
        while feed.mark() > _reached(following):
            events += _fill(projection, following, shards, "shadow", progress)
        _bring_along(projection, current, shards)
        left_out = dead_letters.left_out(cursor, current).values()
        rows, repaired = _compare(cursor, projection)
        if not dry_run:
            _swap_in(cursor, projection)
            _activate(cursor, projection, following, replaced=current)
    if dry_run:
        _throw_away(projection)
    told = dead_letters.left_out_in_words(projection.name, left_out)
    return Report(events=events, rows=rows, repaired=repaired, swapped=not dry_run, left_out=told)


def _swap_in(cursor: Any, projection: Projection[Any]) -> None:
    """Puts the new tables in place of the old ones. Whoever reads these, such as a backup, is waited for, and nobody
    waits behind that for longer than LOCK_TIMEOUT_MS at a time.

    Raises:
        StoreBusy: they were read all the while.
    """

    def swap() -> None:
        for table in projection.tables:
            cursor.execute("SELECT swap_table(%s, 'shadow', 'previous')", (table,))

    try:
        _patiently(swap)
    except OperationalError as error:
        if _is_locked(error):
            raise StoreBusy(
                f"the tables of projection {projection.name} were being read all the while: the page Operations "
                "shows who is at work; begin anew after that"
            ) from error
        raise


def _patiently(work: Callable[[], None]) -> None:
    """Again and again, in turns of LOCK_TIMEOUT_MS, where somebody has a lock that it needs."""
    for attempt in stamina.retry_context(
        on=_is_locked, attempts=SWAP_ATTEMPTS, timeout=None, wait_initial=SWAP_AGAIN_IN, wait_max=SWAP_AGAIN_IN
    ):
        with attempt, transaction.atomic():
            work()


def _is_locked(error: Exception) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.__cause__, LockNotAvailable)


def _bring_along(projection: Projection[Any], current: Generation, shards: int) -> None:
    """The active generation goes to the same position, for the comparison. One that cannot is left as it is."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            checkpoints.fitting(cursor, projection)
            while feed.mark() > _reached(current):
                _fill(projection, current, shards, "public", lambda done, total: None)
    except Outdated:
        pass  # the older code goes on with it, if it is put back
    except Exception as error:
        log.warning("active_generation_is_stuck", projection=projection.name, error=repr(error))


def _compare(cursor: Any, projection: Projection[Any]) -> tuple[int, int]:
    """How many rows the new generation has, and in how many the two differ."""
    total = different = 0
    for table in projection.tables:
        made = _checksum(cursor, "shadow", table, projection.surrogates)
        total += made[0]
        if projection.matched_by:
            different += _count_unlike(cursor, table, projection)
        elif made != _checksum(cursor, "public", table, projection.surrogates):
            different += _count_differences(cursor, table, projection.surrogates)
    return total, different


def _checksum(cursor: Any, schema: str, table: str, surrogates: Sequence[str]) -> tuple[int, Any]:
    cursor.execute(
        "SELECT count(*), sum(hashtextextended((to_jsonb(t) - %s::text[])::text, 0)::numeric)"
        f" FROM {schema}.{table} t",
        (list(surrogates),),
    )
    rows, digest = cursor.fetchone()
    return rows, digest


def _count_unlike(cursor: Any, table: str, projection: Projection[Any]) -> int:
    """Rows that both have and that are not the same."""
    cursor.execute(
        f"SELECT count(*) FROM shadow.{table} a JOIN public.{table} b USING ({', '.join(projection.matched_by)})"
        " WHERE to_jsonb(a) - %s::text[] <> to_jsonb(b) - %s::text[]",
        [list(projection.surrogates)] * 2,
    )
    return int(cursor.fetchone()[0])


def _count_differences(cursor: Any, table: str, surrogates: Sequence[str]) -> int:
    """Rows of either that the other has not; a row that is merely altered counts once."""

    def only_in(one: str, other: str) -> int:
        cursor.execute(
            f"""
            SELECT count(*)
              FROM (SELECT to_jsonb(a) - %s::text[] FROM {one}.{table} a
                    EXCEPT ALL
                    SELECT to_jsonb(b) - %s::text[] FROM {other}.{table} b) difference
            """,
            [list(surrogates)] * 2,
        )
        return int(cursor.fetchone()[0])

    return max(only_in("shadow", "public"), only_in("public", "shadow"))


def _all_kept(cursor: Any, tables: Sequence[str]) -> bool:
    cursor.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'previous' AND tablename = ANY (%s)", (list(tables),)
    )
    return bool(cursor.fetchone()[0] == len(tables))


def _activate(cursor: Any, projection: Projection[Any], generation: Generation, *, replaced: Generation) -> None:
    forwards = generation.number > replaced.number
    cursor.execute(
        "UPDATE projections SET active_generation = %s, changed_at = now(),"
        " code_version = CASE WHEN %s THEN %s ELSE coalesce(previous_code_version, code_version) END,"
        " previous_code_version = CASE WHEN %s THEN code_version END,"
        " state = CASE WHEN paused_by = '' THEN 'running' ELSE state END,"
        " reason = CASE WHEN paused_by = '' THEN '' ELSE reason END WHERE name = %s",
        (generation.number, forwards, projection.version, forwards, projection.name),
    )
    cursor.execute(
        "UPDATE dead_letters SET state = 'superseded', resolved_at = now(), resolved_by = %s"
        " WHERE projection = %s AND generation <> %s AND state IN ('failed', 'parked')",
        ("rebuild" if forwards else "undo", projection.name, generation.number),
    )
    if forwards:  # older ones than the replaced have no tables any more
        cursor.execute(
            "DELETE FROM projection_checkpoints WHERE projection = %s AND generation < %s",
            (projection.name, replaced.number),
        )
        return
    # What the rebuild superseded waits again: the tables lack it, and their checkpoints lie beyond it.
    cursor.execute(
        "UPDATE dead_letters SET state = CASE WHEN attempts > 0 THEN 'failed' ELSE 'parked' END,"
        " resolved_at = NULL, resolved_by = ''"
        " WHERE projection = %s AND generation = %s AND state = 'superseded' AND resolved_by = 'rebuild'",
        (projection.name, generation.number),
    )
    cursor.execute(
        "DELETE FROM projection_checkpoints WHERE projection = %s AND generation = %s",
        (projection.name, replaced.number),
    )
