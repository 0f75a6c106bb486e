"""Verification of everything, in one instant.

All is read in one REPEATABLE READ transaction, so that events, heads and read models are those of one moment,
while the bank goes on working. Read models behind the feed are compared up to their checkpoints. Their tables must
not be replaced meanwhile: a name leads to the table of now, in which an older snapshot sees no rows.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from accounts.models import LedgerProof
from accounts.verification.feed import FeedPass
from accounts.verification.findings import Findings
from accounts.verification.streams import StreamPass
from eventstore import feed, seals
from eventstore.events import StoredEvent
from eventstore.projections import checkpoints, dead_letters
from eventstore.projections.dead_letters import left_out_in_words
from eventstore.projections.rebuild import tables_stay
from ops.database.locks import advisory_key

Progress = Callable[[int, int], None]
READ_MODELS = ("daily_balances", "transactions", "journal", "ledger_days")
"""Those that follow the feed, and are compared with it."""
BROKEN_KEPT = 100
"""Seals that do not hold; the first of them, where there are more."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified and what was found: `differences` in all, the first of them in words. What read models leave
    out as dead letters is no difference: `left_out` tells of it in words. `untried`: seals that did not hold when
    they were last tried, and were not tried again."""

    events: int
    streams: int
    position: int
    seconds: float
    differences: int
    first_differences: list[str]
    left_out: list[str]
    untried: int


def verify(
    progress: Progress = lambda done, total: None,
    *,
    sealed: Sequence[seals.Seal] = (),
    acknowledged: bool = False,
) -> Verification:
    """Proves the books, also against what was `sealed` of them, and leaves a `LedgerProof` behind. Seals that did not
    hold before stay on it until they are tried again and hold, or are `acknowledged`.

    Progress is told in events, each counted once for each pass: by stream, by position, and over the seals.

    Raises:
        StoreBusy: a read model is being rebuilt. Nothing was verified.
    """
    started = time.monotonic()
    findings = Findings()
    shards = feed.require_shard_count()
    with tables_stay(READ_MODELS), transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT count(*), coalesce(max(position), 0) FROM events")
            count, position = cursor.fetchone()
        total = (3 if sealed else 2) * count
        left_out = {name: _left_out(name) for name in READ_MODELS}
        streams = StreamPass(findings, _applied("daily_balances", shards, left_out))
        streams.run(lambda done: progress(done, total))
        rows = FeedPass(
            findings,
            *(_applied(name, shards, left_out) for name in ("transactions", "journal", "ledger_days")),
        )
        rows.run(lambda done: progress(count + done, total))
        broken = []
        for seal, sentence in seals.differences(sealed, lambda done: progress(2 * count + done, total)):
            findings.add(sentence)
            broken.append(seal.digest)
        progress(total, total)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (advisory_key("ledger_proofs"),))
        untried = [] if acknowledged else _broken_before(sealed)
        result = Verification(
            events=streams.events,
            streams=streams.streams,
            position=position,
            seconds=round(time.monotonic() - started, 3),
            differences=findings.count,
            first_differences=findings.first,
            left_out=[told for name, by in left_out.items() if (told := left_out_in_words(name, by.values()))],
            untried=len(untried),
        )
        LedgerProof.objects.create(
            position=result.position,
            events=result.events,
            streams=result.streams,
            seconds=result.seconds,
            seals=len(sealed),
            broken_seals=[*untried, *broken][:BROKEN_KEPT],
            differences=result.differences,
            first_differences=result.first_differences,
        )
    return result


def _broken_before(sealed: Sequence[seals.Seal]) -> list[str]:
    """The digests that the last proof tells of, but of the seals that this one was held against."""
    last = LedgerProof.objects.order_by("-id").values_list("broken_seals", flat=True).first() or []
    tried = {seal.digest for seal in sealed}
    return [digest for digest in last if digest not in tried]


def _left_out(name: str) -> dict[int, str]:
    with connection.cursor() as cursor:
        return dead_letters.left_out(cursor, checkpoints.active(cursor, name))


def _applied(name: str, shards: int, left_out: Mapping[str, Container[int]]) -> Callable[[StoredEvent], bool]:
    """Whether a projection's tables hold an event: its checkpoints, as they are now, lie at or past it, and it is not
    left out as a dead letter."""
    with connection.cursor() as cursor:
        positions = checkpoints.read(cursor, checkpoints.active(cursor, name))
    without = left_out[name]
    return lambda stored: (
        stored.position <= positions.get(feed.shard_of(stored.aggregate_id, shards), 0)
        and stored.position not in without
    )
