"""Commands by what became of them, as a metric."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Counter

from accounts.services.envelope import Broken, Envelope, Executed, Outcome, Refused
from eventstore.errors import OutcomeUnknown, StoreBusy

COMMANDS = Counter(
    "commands_total",
    "Commands by type and outcome: executed, replayed, refused, busy (nothing done), unknown, failed.",
    ["command", "outcome"],
)


@contextmanager
def counting(envelopes: Sequence[Envelope]) -> Iterator[list[Outcome]]:
    """Counts each command once; the block puts the outcomes into the list, unless it raises."""
    outcomes: list[Outcome] = []
    try:
        yield outcomes
    except Exception as error:
        for envelope in envelopes:
            count(envelope, error)
        raise
    for envelope, outcome in zip(envelopes, outcomes, strict=True):
        count(envelope, outcome)


def count(envelope: Envelope, became: Outcome | BaseException) -> None:
    """Counts one command."""
    _series(type(envelope.command).__name__, _told(became)).inc()


@lru_cache(maxsize=256)  # to find it costs more than to count it up
def _series(command: str, outcome: str) -> Counter:
    return COMMANDS.labels(command, outcome)


def _told(became: Outcome | BaseException) -> str:
    if isinstance(became, Executed):
        return "replayed" if became.replayed else "executed"
    if isinstance(became, Refused) and not isinstance(became, Broken):
        return "refused"
    if isinstance(became, StoreBusy):
        return "busy"
    return "unknown" if isinstance(became, OutcomeUnknown) else "failed"
