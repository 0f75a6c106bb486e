"""Why an account is as it is: its fold, step by step, from the snapshot that it begins with.

It is the same fold as everybody's: snapshots by `eventstore.snapshots`, events by `eventstore.store`, `evolve` by the
domain. Only here each step is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.domain.account import AGGREGATE_TYPE, BrokenStream
from accounts.domain.account import Account as State
from accounts.domain.errors import ErrorCode, Refusal
from eventstore import snapshots, store
from eventstore.errors import EventStoreError
from eventstore.events import StoredEvent
from eventstore.snapshots import Snapshot

MOST_EVENTS = 20_000
"""Events that are folded for one page: some seconds. Further from a snapshot nothing is shown."""
FOLD_ERRORS = (EventStoreError, BrokenStream, TypeError, ValueError, KeyError)
"""What a fold of stored events raises where they are not what this code wrote."""


class TooFar(Exception):
    """The state lies more than `MOST_EVENTS` events after the nearest usable snapshot."""

    def __init__(self, version: int, base: int) -> None:
        super().__init__(
            f"Version {version} lies {version - base} events after the nearest usable snapshot (version {base}), and "
            f"a page folds at most {MOST_EVENTS}. Ask for a version up to {base + MOST_EVENTS}."
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What an event did to one field of the state."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """An event with the state after it; `changes` leaves out the version, which rises with every event."""

    stored: StoredEvent
    state: State
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of a fold: it began with `base` (None: with the first event); `broken` tells why it ends early."""

    base: Snapshot | None
    steps: list[Step]
    version: int
    broken: str = ""


def base_of(account_id: UUID, version: int, *, from_start: bool = False) -> Snapshot | None:
    """The snapshot that the fold to a version begins with: one before it, so that there is a step to show."""
    return None if from_start else snapshots.find(account_id, version - 1)


def fold(account_id: UUID, version: int, *, base: Snapshot | None, after: int, limit: int) -> Fold:
    """At most `limit` steps from version `after` on, in the fold from `base` to `version`.

    Raises:
        TooFar: there are too many events between a snapshot and `after`.
    """
    start = base.version if base else 0
    state = base.state if base else None
    if after > start:
        nearest = snapshots.find(account_id, after) or base
        if after - (nearest.version if nearest else 0) > MOST_EVENTS:
            raise TooFar(after, nearest.version if nearest else 0)
        try:
            state = store.load(account_id, upto_version=after).state
        except FOLD_ERRORS as error:
            return Fold(base, [], version, broken=str(error))
    steps: list[Step] = []
    try:
        for step in _steps(account_id, state, after=max(after, start), upto=min(max(after, start) + limit, version)):
            steps.append(step)
    except FOLD_ERRORS as error:
        at = steps[-1].stored.version + 1 if steps else max(after, start) + 1
        return Fold(base, steps, version, broken=f"Version {at} cannot be folded: {error}.")
    return Fold(base, steps, version)


def _steps(account_id: UUID, state: State | None, *, after: int, upto: int) -> Iterator[Step]:
    for stored, folded in store.fold(account_id, state, after_version=after, upto_version=upto):
        yield Step(stored, folded, differences(state, folded))
        state = folded


def differences(before: State | None, after: State) -> tuple[Change, ...]:
    """Field by field; from nothing, every field is a change."""
    names = [name for name in State.__struct_fields__ if name not in ("version", "id")]
    pairs = [(name, getattr(before, name, None), getattr(after, name)) for name in names]
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


@dataclass(frozen=True, slots=True)
class Past:
    """An account as it was at a version; `recorded_at` is when that version's event was recorded."""

    state: State
    snapshot_version: int
    events_read: int
    recorded_at: datetime


def past(account_id: UUID, *, at: datetime | None = None, version: int | None = None) -> Past:
    """The account at a moment (by the time of recording) or at a version: give one of them.

    Raises:
        Refusal: `account_not_found`; `account_not_yet_opened`; `validation_failed` for what lies in the future.
        TooFar: there are too many events between a snapshot and then.
    """
    head = store.version_of(account_id)
    if not head:
        raise Refusal(ErrorCode.ACCOUNT_NOT_FOUND, f"There is no account {account_id}.")
    if at is not None:
        if at > timezone.now():
            raise Refusal(ErrorCode.VALIDATION_FAILED, "The moment lies in the future.", field="at")
        version = store.version_at(account_id, at)
        if not version:
            raise Refusal(ErrorCode.ACCOUNT_NOT_YET_OPENED, "The account was opened after that moment.", field="at")
    if version is None or not 1 <= version <= head:
        raise Refusal(ErrorCode.VALIDATION_FAILED, f"The account has the versions 1 to {head}.", field="version")
    base = snapshots.find(account_id, version)
    if version - (base.version if base else 0) > MOST_EVENTS:
        raise TooFar(version, base.version if base else 0)
    loaded = store.load(account_id, upto_version=version)
    last = next(store.read_stream(account_id, after_version=version - 1, upto_version=version))
    assert last.aggregate_type == AGGREGATE_TYPE
    return Past(loaded.state, loaded.snapshot_version, loaded.events_read, last.timestamp)
