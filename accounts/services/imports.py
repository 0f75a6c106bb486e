"""Imports: files of commands, of any length, one a line, which go on where they stopped.

A file is taken in chunks of `CHUNK` lines, each one call of the executor, in order. Before each the import's row says
up to where lines may have been executed, and after it how far it is: its position may lag behind what was executed (a
process that dies in between), but never leads. Lines up to the position are not executed again, however long ago that
was; those beyond it are told apart by their idempotency keys. Where these may be forgotten by now, an import that was
left within a chunk goes no further.

What is not promised: a line that had been refused in the very chunk that a dying process did not write down is
decided anew; and once keys are forgotten, nobody tells which lines of that chunk were executed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from django.db import InterfaceError, OperationalError

from accounts.domain.errors import PASSING, ErrorCode, Refusal
from accounts.models import Import
from accounts.services.envelope import Envelope, Executed, Outcome, Refused
from accounts.services.executor import execute
from accounts.services.import_lines import START, Interrupted, Line, extended, lines_of
from accounts.services.import_progress import (
    WAITS,
    ImportKey,
    Taken,
    announce,
    begun,
    found,
    interrupted,
    refuse,
    write,
)
from eventstore.errors import OutcomeUnknown, StoreBusy
from ops.database.locks import session_lock
from ops.operations import operation, step

__all__ = ["AT_ONCE", "CHUNK", "MAX_REFUSALS", "ImportKey", "Interrupted", "found", "interrupted", "run"]

CHUNK = 500
MAX_REFUSALS = 10_000
"""An import in which this many lines were refused goes no further: it is the wrong file."""
AT_ONCE = 2
"""Imports in a process: each takes a thread and a connection for as long as its file comes."""

Read = Callable[[bytes, int], Envelope | Refused]
"""A line and its number as a command; `malformed_request` for what is no JSON object."""

_room = threading.BoundedSemaphore(AT_ONCE)


def run(
    name: ImportKey,
    pieces: Iterable[bytes],
    read: Read,
    *,
    actor: str,
    after: int = 0,
    progress: Callable[[int], None] = lambda position: None,
    has_reach: Callable[[], bool] = lambda: True,
) -> tuple[Import, bool]:
    """Takes a file to its end; the import, and whether it had been finished before.

    `pieces` follow line `after` of the file, and are read only as far as they are needed: 0 is the whole file, of
    which what was taken before is compared and not executed; else it is the position of the import. Pieces that end
    too early raise `Interrupted`: what came before is executed. Before each chunk `has_reach` is asked whether the
    sender still reaches the accounts that `read` lets it act for, no more and no fewer.

    Raises:
        Refusal: it stopped, and `extra` says at which position. `import_in_progress`, `import_differs`,
            `import_position_mismatch`, `import_stopped`, `import_outcome_unknown`, `malformed_request` (no line):
            nothing was executed.
            `import_incomplete`, `import_refusal_limit`, `import_stopped`, `import_reach_changed`,
            `import_interrupted`: all up to the position was.
        OperationalError, InterfaceError: the database could not be asked how far it is; nothing was executed.
    """
    record: Import | None = None
    try:
        with (
            _a_place(),
            operation("import", name.key, actor=actor),
            session_lock(f"import {name.scope} {name.key}") as own,
        ):
            record = begun(name)
            if not own:
                raise refuse(record, ErrorCode.IMPORT_IN_PROGRESS, "This import is running. Nothing was done.")
            _require_to_go_on(record, after)
            was_finished = record.finished_at is not None
            _Run(record, read, progress, has_reach).take(lines_of(pieces, after=after), compare=after == 0)
            return record, was_finished
    except (OperationalError, InterfaceError):  # of the lock, or of whoever brings the pieces
        if record is None:
            raise
        raise interrupted(record, "The database gave no answer in time.") from None


@contextmanager
def _a_place() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise Refusal(ErrorCode.OVERLOADED, f"{AT_ONCE} imports are in hand here already. Nothing was done.")
    try:
        yield
    finally:
        _room.release()


def _require_to_go_on(record: Import, after: int) -> None:
    if record.stopped_by:
        raise refuse(record, ErrorCode.IMPORT_STOPPED, "Bank staff stopped this import. Nothing was done.")
    if after not in (0, record.position):
        raise refuse(
            record,
            ErrorCode.IMPORT_POSITION_MISMATCH,
            f"{record.position} lines were taken, not {after}: send what follows them, or the whole file.",
        )
    if record.finished_at is None:
        _require_few_refusals(record)


def _require_few_refusals(record: Import) -> None:
    if record.refused >= MAX_REFUSALS:
        raise refuse(
            record,
            ErrorCode.IMPORT_REFUSAL_LIMIT,
            f"{record.refused} lines were refused up to line {record.position}: it goes no further.",
        )


class _Run:
    """One go at a file."""

    def __init__(
        self, record: Import, read: Read, progress: Callable[[int], None], has_reach: Callable[[], bool]
    ) -> None:
        self._record = record
        self._read = read
        self._progress = progress
        self._has_reach = has_reach

    def take(self, lines: Iterator[Line], *, compare: bool) -> None:
        chunk: list[tuple[Line, Envelope | Refused | None]] = []
        try:
            if compare:
                self._compare(lines)
            for line in lines:
                if self._record.finished_at is not None:
                    raise self._differs(f"the one that was taken ended after line {self._record.position}")
                chunk.append((line, self._item(line)))
                if len(chunk) == CHUNK:
                    self._execute(chunk, is_last=False)
                    chunk = []
        except Interrupted as why:
            self._execute(chunk, is_last=False)
            message = f"{why} Lines up to {self._record.position} were taken; what follows was not looked at."
            raise refuse(self._record, ErrorCode.IMPORT_INCOMPLETE, message) from None
        if self._record.position == 0 and not chunk:
            raise Refusal(ErrorCode.MALFORMED_REQUEST, "The file holds no line. Nothing was done.")
        if self._record.finished_at is None:
            self._execute(chunk, is_last=True)

    def _compare(self, lines: Iterator[Line]) -> None:
        """Passes over what was taken before, which must be the same."""
        wanted, digest, number = self._record.position, START, 0
        for number, raw, _ in islice(lines, wanted):
            digest = extended(digest, raw)
            if number % CHUNK == 0:
                self._progress(number)
        if number < wanted:
            raise self._differs(f"it was taken up to line {wanted}, and this one ends after line {number}")
        if digest != bytes(self._record.digest):
            raise self._differs(f"what was taken of it, up to line {wanted}, is not how this one begins")

    def _differs(self, how: str) -> Refusal:
        message = f"Under this key another file was begun: {how}. Nothing was done."
        return refuse(self._record, ErrorCode.IMPORT_DIFFERS, message)

    def _item(self, line: Line) -> Envelope | Refused | None:
        """None for a blank line."""
        if not line.raw.strip():
            return None
        item = self._read(line.raw, line.number)
        if not line.is_ended and isinstance(item, Refused) and item.code is ErrorCode.MALFORMED_REQUEST:
            raise Interrupted(f"The file ends within line {line.number}. {item.message}")
        return item

    def _execute(self, chunk: Sequence[tuple[Line, Envelope | Refused | None]], *, is_last: bool) -> None:
        if not chunk and not is_last:
            return
        record = self._record
        if chunk:
            self._require_reach()
        announce(record, record.position + len(chunk))
        outcomes = iter(self._settled([item for _, item in chunk if isinstance(item, Envelope)]))
        became = [(line.number, next(outcomes) if isinstance(item, Envelope) else item) for line, item in chunk]
        digest = bytes(record.digest)
        for line, _ in chunk:
            digest = extended(digest, line.raw)
        taken = Taken(
            position=record.position + len(chunk),
            digest=digest,
            executed=sum(isinstance(outcome, Executed) for _, outcome in became),
            refusals=[(number, outcome) for number, outcome in became if isinstance(outcome, Refused)],
            is_last=is_last,
        )
        write(record, taken)
        step(f"line {record.position}")
        self._progress(record.position)
        if is_last:
            return
        if record.stopped_by:
            raise refuse(record, ErrorCode.IMPORT_STOPPED, f"Bank staff stopped it after line {record.position}.")
        _require_few_refusals(record)

    def _require_reach(self) -> None:
        if not self._has_reach():
            raise refuse(
                self._record,
                ErrorCode.IMPORT_REACH_CHANGED,
                "Which accounts the sender may act for was changed meanwhile. What follows line "
                f"{self._record.position} was not executed: go on with the same key, and it is as far as the sender "
                "reaches now.",
            )

    def _settled(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """The outcome of each, after some tries where the store is busy or others were faster."""
        outcomes: dict[int, Outcome] = {}
        for wait in (*WAITS, None):
            left = [index for index in range(len(envelopes)) if index not in outcomes]
            try:
                now = execute([envelopes[index] for index in left])
            except (StoreBusy, OutcomeUnknown):
                now = []
            outcomes |= {
                index: outcome for index, outcome in zip(left, now, strict=False) if not _is_unsettled(outcome)
            }
            if len(outcomes) == len(envelopes):
                return [outcomes[index] for index in range(len(envelopes))]
            if wait is not None:
                time.sleep(wait)
        raise interrupted(self._record, "The bank is too busy.")


def _is_unsettled(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.code in PASSING
