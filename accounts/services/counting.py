"""Commands by what became of them, as a metric."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter

from accounts.services.envelope import Envelope, Outcome, Refused
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
    except StoreBusy:
        _count_all(envelopes, "busy")
        raise
    except OutcomeUnknown:
        _count_all(envelopes, "unknown")
        raise
    except Exception:
        _count_all(envelopes, "failed")
        raise
    for envelope, outcome in zip(envelopes, outcomes, strict=True):
        COMMANDS.labels(type(envelope.command).__name__, _told(outcome)).inc()


def _told(outcome: Outcome) -> str:
    if isinstance(outcome, Refused):
        return "refused"
    return "replayed" if outcome.replayed else "executed"


def _count_all(envelopes: Sequence[Envelope], outcome: str) -> None:
    for envelope in envelopes:
        COMMANDS.labels(type(envelope.command).__name__, outcome).inc()
