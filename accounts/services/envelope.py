"""What goes into the executor and what comes out."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from accounts.domain.commands import Command, OpenAccount, PlaceHold
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.events import to_data
from accounts.services.day_limits import DayLimit
from eventstore.errors import BrokenHistory, EventStoreError
from eventstore.events import Context
from eventstore.idempotency import IdempotencyKey, fingerprint


class Envelope(Struct, frozen=True):
    """A command with who sends it and why.

    `key` makes it happen at most once; `expected_version` is checked against the command's first account;
    `expected_versions` against any of those that it touches. `custodian` limits the sender to the accounts in its
    care (None: any account), and `day_limit` to what they may move alone.
    """

    command: Command
    context: Context
    key: IdempotencyKey | None = None
    expected_version: int | None = None
    expected_versions: Mapping[UUID, int] = {}
    custodian: str | None = None
    day_limit: DayLimit | None = None


class Executed(Struct, frozen=True):
    """It happened. `result` is JSON-ready, amounts in minor units:

    {"transaction_id", "recorded_at", "accounts": [{"id", "version", "status", "currency", "balance", "available"}]}
    with the command's own account first, and as "hold" what became of the hold that it is about, where it is.
    `replayed`: it had happened before, and this is the first answer again.
    """

    transaction_id: UUID
    result: dict[str, Any]
    replayed: bool = False


class Refused(Struct, frozen=True):
    """It did not happen, and changed nothing."""

    code: ErrorCode
    message: str
    field: str | None = None
    extra: dict[str, Any] = {}

    @classmethod
    def because(cls, refusal: Refusal) -> "Refused":
        return cls(refusal.code, refusal.message, refusal.field, refusal.extra)

    def as_error(self) -> Refusal | BrokenHistory:
        return Refusal(self.code, self.message, field=self.field, **self.extra)


class Broken(Refused, frozen=True):
    """It did not happen, since an account that it touches contradicts its events. `why` is for the bank alone."""

    why: str = ""

    @classmethod
    def by(cls, error: EventStoreError) -> "Broken":
        message = (
            "An account that the command touches contradicts its events. Nothing was done: bank staff must mend it "
            "first; then send the command again."
        )
        return cls(ErrorCode.BROKEN_HISTORY, message, why=str(error))

    def as_error(self) -> BrokenHistory:
        return BrokenHistory(self.why)


Outcome = Executed | Refused


def idempotency_key(*, scope: str, key: str, command: Command) -> IdempotencyKey:
    """The caller's key with a fingerprint of what is asked, less what the bank itself chose (a new one's id)."""
    content = {"command": type(command).__name__, **to_data(command)}
    if isinstance(command, OpenAccount):
        del content["account_id"]
    if isinstance(command, PlaceHold):
        del content["hold_id"]
    return IdempotencyKey(scope, key, fingerprint(content))
