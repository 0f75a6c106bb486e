"""Why a command is refused: one enum of stable codes, published by the API."""

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Stable, machine-readable reasons. A code is never renamed or reused."""

    # the request
    VALIDATION_FAILED = "validation_failed"
    MALFORMED_REQUEST = "malformed_request"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    NOT_FOUND = "not_found"
    NOT_AUTHENTICATED = "not_authenticated"
    PERMISSION_DENIED = "permission_denied"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNKNOWN_FIELD = "unknown_field"
    IDEMPOTENCY_KEY_REQUIRED = "idempotency_key_required"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    COMMAND_IN_PROGRESS = "command_in_progress"
    # accounts and money
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_NOT_YET_OPENED = "account_not_yet_opened"
    TRANSACTION_NOT_FOUND = "transaction_not_found"
    VERSION_MISMATCH = "version_mismatch"
    ACCOUNT_FROZEN = "account_frozen"
    ACCOUNT_NOT_FROZEN = "account_not_frozen"
    ACCOUNT_CLOSED = "account_closed"
    BALANCE_NOT_ZERO = "balance_not_zero"
    CURRENCY_MISMATCH = "currency_mismatch"
    SAME_ACCOUNT = "same_account"
    INVALID_AMOUNT = "invalid_amount"
    AMOUNT_TOO_LARGE = "amount_too_large"
    BALANCE_LIMIT_EXCEEDED = "balance_limit_exceeded"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    OVERDRAFT_NOT_ALLOWED = "overdraft_not_allowed"
    OVERDRAFT_IN_USE = "overdraft_in_use"
    ALREADY_REVERSED = "already_reversed"
    NOT_REVERSIBLE = "not_reversible"
    HOLD_NOT_FOUND = "hold_not_found"
    HOLD_NOT_OPEN = "hold_not_open"
    CAPTURE_EXCEEDS_HOLD = "capture_exceeds_hold"
    RELEASE_EXCEEDS_HOLD = "release_exceeds_hold"
    # webhooks
    WEBHOOK_NOT_FOUND = "webhook_not_found"
    WEBHOOK_EXISTS = "webhook_exists"
    WEBHOOK_LIMIT_REACHED = "webhook_limit_reached"
    DELIVERY_NOT_FOUND = "delivery_not_found"
    # files of commands
    IMPORT_NOT_FOUND = "import_not_found"
    IMPORT_IN_PROGRESS = "import_in_progress"
    IMPORT_DIFFERS = "import_differs"
    IMPORT_POSITION_MISMATCH = "import_position_mismatch"
    IMPORT_INCOMPLETE = "import_incomplete"
    IMPORT_REFUSAL_LIMIT = "import_refusal_limit"
    IMPORT_STOPPED = "import_stopped"
    IMPORT_REACH_CHANGED = "import_reach_changed"
    IMPORT_INTERRUPTED = "import_interrupted"
    IMPORT_OUTCOME_UNKNOWN = "import_outcome_unknown"
    # the system
    TOO_MANY_REQUESTS = "too_many_requests"
    BATCH_REJECTED = "batch_rejected"
    CONCURRENCY_CONFLICT = "concurrency_conflict"
    OVERLOADED = "overloaded"
    OUTCOME_UNKNOWN = "outcome_unknown"
    BROKEN_HISTORY = "broken_history"
    INTERNAL_ERROR = "internal_error"


PASSING = frozenset({ErrorCode.CONCURRENCY_CONFLICT, ErrorCode.COMMAND_IN_PROGRESS})
"""Refusals of the moment: the same command with the same key may well be executed when it is sent again."""


class Refusal(Exception):
    """A command that must not happen. Nothing has changed when it is raised.

    `field` names the input at fault, where one is; `extra` holds JSON-ready facts that help to mend it.
    """

    def __init__(self, code: ErrorCode, message: str, *, field: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.extra = extra
