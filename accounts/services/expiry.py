"""Giving up the holds whose time is over, so that their money can be spent again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db.models import Q
from django.db.models.functions import Now

from accounts.domain.commands import ExpireHold
from accounts.domain.holds import HoldStatus
from accounts.models import Hold
from accounts.services.envelope import Broken, Envelope, Executed
from accounts.services.executor import execute
from eventstore.errors import EventStoreError
from eventstore.events import Context

_log = structlog.get_logger(__name__)

BATCH = 200
"""Holds given up in one transaction."""
CONTEXT = Context(actor="system:holds", source="command", reason="its time is over")


@dataclass(slots=True)
class Expiry:
    """How many holds were given up, and how many are left for the next run: their accounts were in use, or do not
    agree with their events."""

    expired: int = 0
    left: int = 0


def expire_holds() -> Expiry:
    """Gives up every hold that is past its time, each in its own account's stream. Safe to run at any time, also
    beside itself. An account that is in use for longer than LOCK_TIMEOUT_MS, or that is not what its events make,
    keeps its hold, and stops no other."""
    done = Expiry()
    after: tuple[datetime, UUID] | None = None
    while due := _due(after):
        ids = [hold_id for _, hold_id in due]
        try:
            _expire(ids, done)
        except EventStoreError:
            for hold_id in ids:
                _expire_alone(hold_id, done)
        after = due[-1]
    return done


def _due(after: tuple[datetime, UUID] | None) -> list[tuple[datetime, UUID]]:
    """Of the holds that are past their time by the database's clock, the next ones."""
    due = Hold.objects.filter(status=HoldStatus.OPEN, expires_at__lte=Now()).order_by("expires_at", "id")
    if after is not None:
        moment, hold_id = after
        due = due.filter(Q(expires_at__gt=moment) | Q(expires_at=moment, id__gt=hold_id))
    return list(due.values_list("expires_at", "id")[:BATCH])


def _expire(ids: list[UUID], done: Expiry) -> None:
    """What somebody captured or released meanwhile is refused, and rightly so."""
    outcomes = execute([Envelope(ExpireHold(hold_id), CONTEXT) for hold_id in ids])
    for hold_id, outcome in zip(ids, outcomes, strict=True):
        done.expired += isinstance(outcome, Executed)
        if isinstance(outcome, Broken):
            _leave(hold_id, outcome.why, done)


def _expire_alone(hold_id: UUID, done: Expiry) -> None:
    try:
        _expire([hold_id], done)
    except EventStoreError as error:
        _leave(hold_id, str(error), done)


def _leave(hold_id: UUID, why: str, done: Expiry) -> None:
    _log.warning("hold_not_expired", hold=str(hold_id), error=why)
    done.left += 1
