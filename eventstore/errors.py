"""What the store refuses or finds broken."""

from uuid import UUID


class EventStoreError(Exception):
    """Root of the store's own errors."""


class OptimisticConcurrencyConflict(EventStoreError):
    """A stream is not at the version that the caller built on. Nothing was written; load again and retry."""

    def __init__(self, aggregate_id: UUID, expected: int, actual: int) -> None:
        super().__init__(f"stream {aggregate_id}: expected version {expected}, found {actual}")
        self.aggregate_id = aggregate_id
        self.expected = expected
        self.actual = actual


class ConcurrentIdempotencyKey(EventStoreError):
    """Another transaction wrote a record for one of the keys first. Nothing was written; retry to read it."""


class StoreBusy(EventStoreError):
    """A lock or a connection was not to be had in time. Nothing was written; try again later."""


class LockTimeout(StoreBusy):
    """A lock, or a statement, took longer than its time limit; others may not be affected."""


class TooManyCommands(StoreBusy):
    """So much is in hand already that nothing was begun."""


class OutcomeUnknown(EventStoreError):
    """The connection broke while the append may have been committing. Only the idempotency key can tell."""


class UnknownEventType(EventStoreError):
    """An event of a type (or a newer schema version) that this code does not know. It is never skipped."""


class BrokenHistory(EventStoreError):
    """Stored events, streams or read models contradict each other. Stop, and let a person look."""


class SideEffects(EventStoreError):
    """The projection's rows lead to something outside of the bank: they are made once, and never again."""


class StreamNotFound(EventStoreError):
    """There is no stream with this id."""

    def __init__(self, aggregate_id: UUID) -> None:
        super().__init__(f"there is no stream {aggregate_id}")
        self.aggregate_id = aggregate_id
