"""A batch that failed as a whole is tried again in halves, down to the command that is to blame: it cannot hurt those
beside it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from accounts.services.envelope import Broken, Envelope, Outcome
from eventstore.errors import EventStoreError, OutcomeUnknown, StoreBusy

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def may_be_of_one(error: Exception) -> bool:
    """Whether the others of a batch may fare better without one of them."""
    return not isinstance(error, (StoreBusy, OutcomeUnknown))


def halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """In their order; the second is empty for a single one."""
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]


def run_apart(run: Callable[[Sequence[Envelope]], list[Outcome]], envelopes: Sequence[Envelope]) -> list[Outcome]:
    """The outcomes of `run`, and where the books contradict themselves, of its halves, one after the other: `Broken`
    for the command that is to blame. What would only repeat itself, or says nothing of one command, is raised.

    Raises:
        OutcomeUnknown: also where the second half met a store that is busy: the first is executed.
    """
    try:
        return run(envelopes)
    except EventStoreError as error:
        if not may_be_of_one(error):
            raise
        if len(envelopes) == 1:
            _log.error(
                "history_broken", command=type(envelopes[0].command).__name__, error=str(error), exc_info=error
            )
            return [Broken.by(error)]
    first, second = halves(envelopes)
    outcomes = run_apart(run, first)
    try:
        return outcomes + run_apart(run, second)
    except StoreBusy as busy:
        raise OutcomeUnknown(f"the first commands of the batch were executed, and for the rest {busy}") from busy
