"""What OpenAPI says of the routes: headers, problems and examples that many of them share."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.serializers import BaseSerializer

from accounts.api.bodies import CommandBody
from accounts.api.catalogue import KINDS
from accounts.api.fields import KEY_PATTERN
from accounts.api.problems import MEDIA_TYPE, problem
from accounts.api.representations import CommandResultSerializer, ProblemSerializer
from accounts.domain.errors import ErrorCode as E
from ops.conf import get_settings

Decorate = Callable[[Any], Any]

ACCOUNT = "01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55"
TARGET = "01980a2b-70c4-7a02-8f1e-5b8d9e7c6a31"
TRANSACTION = "01980a2c-1b7d-7e44-a2c3-9e0d1f2a3b4c"

HOLD = "01980a2d-3c55-7b10-8a6d-4d2e1f0a9b8c"

REQUEST_EXAMPLES: Mapping[str, dict[str, str]] = {
    "open_account": {"owner": "Ann Example", "currency": "EUR", "product": "current"},
    "deposit": {"amount": "100.00", "currency": "EUR", "description": "Salary"},
    "withdraw": {"amount": "20.00", "currency": "EUR", "contra": "cards"},
    "transfer": {"target_account_id": TARGET, "amount": "30.00", "currency": "EUR", "description": "Rent"},
    "change_overdraft_limit": {"overdraft_limit": "500.00", "currency": "EUR"},
    "freeze": {},
    "unfreeze": {},
    "close": {},
    "reverse": {"description": "Booked twice"},
    "place_hold": {"amount": "80.00", "currency": "EUR", "description": "Hotel, two nights"},
    "capture_hold": {"amount": "72.50", "currency": "EUR"},
    "extend_hold": {"amount": "40.00", "currency": "EUR", "expires_at": "2026-02-10T12:00:00Z"},
    "release_hold": {"amount": "15.00", "currency": "EUR"},
}
RESULT_EXAMPLE = {
    "transaction_id": TRANSACTION,
    "recorded_at": "2026-01-31T12:00:00.000000Z",
    "accounts": [
        {
            "id": ACCOUNT,
            "version": 2,
            "status": "open",
            "currency": "EUR",
            "balance": "100.00",
            "available": "100.00",
        }
    ],
}
HOLD_EXAMPLE = {
    "id": HOLD,
    "account_id": ACCOUNT,
    "status": "open",
    "currency": "EUR",
    "amount": "80.00",
    "captured": "0.00",
    "released": "0.00",
    "held": "80.00",
    "contra": "cards:EUR",
    "description": "Hotel, two nights",
    "placed_at": "2026-01-31T12:00:00.000000Z",
    "expires_at": "2026-02-07T12:00:00.000000Z",
    "closed_at": None,
    "version": 3,
}
_CAPTURED = {"captured": "72.50", "released": "7.50", "held": "0.00"}
HOLD_EXAMPLES: Mapping[str, dict[str, Any]] = {
    "place_hold": HOLD_EXAMPLE,
    "capture_hold": HOLD_EXAMPLE | _CAPTURED | {"status": "captured", "closed_at": "2026-02-01T09:30:00.000000Z"},
    "extend_hold": HOLD_EXAMPLE | {"amount": "120.00", "held": "120.00", "expires_at": "2026-02-10T12:00:00.000000Z"},
    "release_hold": HOLD_EXAMPLE | {"released": "15.00", "held": "65.00"},
}
"""By command: the `hold` of its answer."""

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
    OpenApiParameter.HEADER,
    required=True,
    description=(
        "Names the command: sent again with the same body, it answers as it did the first time. It is remembered for "
        f"{get_settings().idempotency_retention_hours} hours; after that the command would be executed again."
    ),
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="ETag of the account: the command is refused with 412 if the account has changed since.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="ETag: 304 if the account is still there."
)
REQUEST_ID = OpenApiParameter(
    "X-Request-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Your own id for the request, up to 60 plain characters; it is logged, stored and echoed.",
)
CORRELATION_ID = OpenApiParameter(
    "X-Correlation-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Your own id for what the request is part of; stored with the events.",
)
TRACEPARENT = OpenApiParameter(
    "traceparent", OpenApiTypes.STR, OpenApiParameter.HEADER, description="W3C Trace Context; stored with the events."
)


def _answers(name: str, description: str, statuses: Sequence[int]) -> OpenApiParameter:
    return OpenApiParameter(
        name,
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=[str(status) for status in statuses],
        description=description,
    )


ALWAYS = (
    E.NOT_AUTHENTICATED,
    E.PERMISSION_DENIED,
    E.NOT_ACCEPTABLE,
    E.TOO_MANY_REQUESTS,
    E.OVERLOADED,
    E.INTERNAL_ERROR,
)
COMMAND_CODES = (
    *ALWAYS,
    E.VALIDATION_FAILED,
    E.MALFORMED_REQUEST,
    E.PAYLOAD_TOO_LARGE,
    E.UNSUPPORTED_MEDIA_TYPE,
    E.IDEMPOTENCY_KEY_REQUIRED,
    E.IDEMPOTENCY_KEY_REUSED,
    E.COMMAND_IN_PROGRESS,
    E.OUTCOME_UNKNOWN,
    E.BROKEN_HISTORY,
)
CODES_OF: Mapping[str, Sequence[E]] = {
    "open_account": (E.OVERDRAFT_NOT_ALLOWED, E.INVALID_AMOUNT),
    "deposit": (E.ACCOUNT_NOT_FOUND, E.INVALID_AMOUNT, E.ACCOUNT_FROZEN, E.CURRENCY_MISMATCH, E.VERSION_MISMATCH),
    "withdraw": (E.ACCOUNT_NOT_FOUND, E.INVALID_AMOUNT, E.INSUFFICIENT_FUNDS, E.ACCOUNT_FROZEN, E.VERSION_MISMATCH),
    "transfer": (E.ACCOUNT_NOT_FOUND, E.INVALID_AMOUNT, E.INSUFFICIENT_FUNDS, E.SAME_ACCOUNT, E.VERSION_MISMATCH),
    "change_overdraft_limit": (E.ACCOUNT_NOT_FOUND, E.OVERDRAFT_NOT_ALLOWED, E.OVERDRAFT_IN_USE, E.VERSION_MISMATCH),
    "freeze": (E.ACCOUNT_NOT_FOUND, E.ACCOUNT_FROZEN, E.ACCOUNT_CLOSED, E.VERSION_MISMATCH),
    "unfreeze": (E.ACCOUNT_NOT_FOUND, E.ACCOUNT_NOT_FROZEN, E.ACCOUNT_CLOSED, E.VERSION_MISMATCH),
    "close": (E.ACCOUNT_NOT_FOUND, E.BALANCE_NOT_ZERO, E.ACCOUNT_FROZEN, E.VERSION_MISMATCH),
    "reverse": (E.TRANSACTION_NOT_FOUND, E.ALREADY_REVERSED, E.NOT_REVERSIBLE, E.VERSION_MISMATCH),
    "place_hold": (E.ACCOUNT_NOT_FOUND, E.INVALID_AMOUNT, E.INSUFFICIENT_FUNDS, E.ACCOUNT_FROZEN, E.VERSION_MISMATCH),
    "capture_hold": (
        E.HOLD_NOT_FOUND,
        E.HOLD_NOT_OPEN,
        E.CAPTURE_EXCEEDS_HOLD,
        E.ACCOUNT_NOT_FOUND,
        E.ACCOUNT_FROZEN,
        E.SAME_ACCOUNT,
        E.VERSION_MISMATCH,
    ),
    "extend_hold": (E.HOLD_NOT_FOUND, E.HOLD_NOT_OPEN, E.INSUFFICIENT_FUNDS, E.ACCOUNT_FROZEN, E.VERSION_MISMATCH),
    "release_hold": (E.HOLD_NOT_FOUND, E.HOLD_NOT_OPEN, E.RELEASE_EXCEEDS_HOLD, E.VERSION_MISMATCH),
}


def _problems(codes: Iterable[E]) -> dict[tuple[int, str], type[BaseSerializer[Any]]]:
    return {(status, MEDIA_TYPE): ProblemSerializer for status in sorted({KINDS[code].status for code in codes})}


def _problem_examples(codes: Iterable[E]) -> list[OpenApiExample]:
    return [
        OpenApiExample(
            code.value,
            value=problem(code, f"{KINDS[code].title}.") | {"request_id": "6f9c2d8e-3b1a-4f57-9d0c-2e8a7b6c5d4f"},
            response_only=True,
            media_type=MEDIA_TYPE,
            status_codes=[str(KINDS[code].status)],
        )
        for code in codes
    ]


def documents_command(body: type[CommandBody], *, summary: str, tag: str, success: int = 200) -> Decorate:
    """For the method of a command: its headers, its problems and an example of each."""
    codes = (*COMMAND_CODES, *CODES_OF[body.name])
    retry_after = sorted({KINDS[code].status for code in codes if KINDS[code].retry_after})
    about_one_account = [IF_MATCH] if body.subject else []
    location = [_answers("Location", "Path of what is new.", [success])] if success == 201 else []
    result = {**RESULT_EXAMPLE, **({"hold": HOLD_EXAMPLES[body.name]} if body.name in HOLD_EXAMPLES else {})}
    return extend_schema(
        operation_id=body.name,
        summary=summary,
        tags=[tag],
        request=body,
        parameters=[
            IDEMPOTENCY_KEY,
            *about_one_account,
            REQUEST_ID,
            CORRELATION_ID,
            TRACEPARENT,
            *location,
            _answers("ETag", "Version of the account after the command.", [success]),
            _answers("Idempotent-Replayed", "true: this is the first answer to the key again.", [success]),
            _answers("Retry-After", "Seconds after which to send the same request again.", retry_after),
        ],
        responses={success: CommandResultSerializer, **_problems(codes)},
        examples=[
            OpenApiExample(summary, value=REQUEST_EXAMPLES[body.name], request_only=True),
            OpenApiExample("Executed", value=result, response_only=True, status_codes=[str(success)]),
            *_problem_examples(codes),
        ],
    )


def documents_batch(
    body: type[BaseSerializer[Any]], result: type[BaseSerializer[Any]], commands: Iterable[str]
) -> Decorate:
    codes = (*COMMAND_CODES, E.BATCH_REJECTED)
    refused = {"status": "refused", "problem": problem(E.INSUFFICIENT_FUNDS, f"{KINDS[E.INSUFFICIENT_FUNDS].title}.")}
    example = {
        "atomic": False,
        "commands": [
            {"command": "deposit", "account_id": ACCOUNT, **REQUEST_EXAMPLES["deposit"]},
            {"command": "withdraw", "account_id": ACCOUNT, **REQUEST_EXAMPLES["withdraw"], "expected_version": 2},
        ],
    }
    return extend_schema(
        operation_id="batch",
        summary="Execute many commands",
        description=(
            "Executes commands in order; each sees the effect of those before it. A refused command changes nothing "
            "and does not stop the others. With `atomic` they are one transaction: one refusal refuses them all, and "
            "the answer is the problem `batch_rejected` with all `outcomes`. Sent again with the same key, "
            f"executed commands are not executed again. Commands: {', '.join(f'`{name}`' for name in commands)}."
        ),
        tags=["batches"],
        request=body,
        parameters=[
            IDEMPOTENCY_KEY,
            REQUEST_ID,
            CORRELATION_ID,
            TRACEPARENT,
            _answers("Idempotent-Replayed", "true: all that was executed had been executed before.", [200]),
            _answers("Retry-After", "Seconds after which to send the same request again.", [429, 503]),
        ],
        responses={200: result, **_problems(codes)},
        examples=[
            OpenApiExample("Deposit and withdraw", value=example, request_only=True),
            OpenApiExample(
                "One executed, one refused",
                value={"outcomes": [{"status": "executed", **RESULT_EXAMPLE}, refused]},
                response_only=True,
                status_codes=["200"],
            ),
            *_problem_examples(codes),
        ],
    )


IMPORT_KEY = OpenApiParameter(
    "key", OpenApiTypes.STR, OpenApiParameter.PATH, description="The Idempotency-Key that the import was begun with."
)
IMPORT_CODES = (
    E.IMPORT_IN_PROGRESS,
    E.IMPORT_DIFFERS,
    E.IMPORT_POSITION_MISMATCH,
    E.IMPORT_INCOMPLETE,
    E.IMPORT_REFUSAL_LIMIT,
    E.IMPORT_STOPPED,
    E.IMPORT_REACH_CHANGED,
    E.IMPORT_INTERRUPTED,
    E.IMPORT_OUTCOME_UNKNOWN,
)


def documents_import(result: type[BaseSerializer[Any]], commands: Iterable[str]) -> Decorate:
    never = (E.PAYLOAD_TOO_LARGE, E.COMMAND_IN_PROGRESS, E.OUTCOME_UNKNOWN)
    codes = (*(code for code in COMMAND_CODES if code not in never), *IMPORT_CODES, E.UNKNOWN_FIELD)
    line = {"command": "transfer", "account_id": ACCOUNT, **REQUEST_EXAMPLES["transfer"]}
    answer = {
        "key": "salaries-2026-01",
        "position": 2,
        "executed": 1,
        "refused": 1,
        "finished": True,
        "started_at": "2026-01-31T12:00:00.000000Z",
        "updated_at": "2026-01-31T12:00:01.000000Z",
        "refusals": [{"line": 2, "problem": problem(E.INSUFFICIENT_FUNDS, f"{KINDS[E.INSUFFICIENT_FUNDS].title}.")}],
    }
    return extend_schema(
        operation_id="import",
        summary="Import a file of commands",
        description=(
            "Executes the commands of a file, one JSON object a line as in a batch, in order, some hundred in a "
            "transaction. A refused line changes nothing and does not stop the others; blank lines are passed over, "
            "and counted. The header's key names the import, and a line's key is that, a colon, and the number of "
            "the line unless it brings its own. If it stops (a connection that breaks, a line too long), ask for its "
            "progress and go on with the same key: either `after=<position>` and what follows that line, or the "
            "whole file again, of which what was taken is compared and not executed. Do so within the time for "
            "which keys are remembered: after that, an import that stopped while lines were being executed goes no "
            "further (`import_outcome_unknown`). An answer of 200 says that the end of the file was taken. Send "
            "`Expect: 100-continue`, so that a refusal comes before the file goes. "
            f"Commands: {', '.join(f'`{name}`' for name in commands)}."
        ),
        tags=["imports"],
        request={"application/x-ndjson": OpenApiTypes.STR},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "pattern": "^[A-Za-z0-9._:~-]{1,200}$"},
                OpenApiParameter.HEADER,
                required=True,
                description="Names the import.",
            ),
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "default": 0},
                description="The lines that the body follows: 0 (it is the whole file) or the import's position.",
            ),
            REQUEST_ID,
            CORRELATION_ID,
            TRACEPARENT,
            _answers("Idempotent-Replayed", "true: the import had been finished before.", [200]),
            _answers("Retry-After", "Seconds after which to go on.", [409, 429, 503]),
        ],
        responses={200: result, **_problems(codes)},
        examples=[
            OpenApiExample(
                "Two transfers",
                value=f"{json.dumps(line)}\n{json.dumps(line)}\n",
                request_only=True,
                media_type="application/x-ndjson",
            ),
            OpenApiExample("Finished", value=answer, response_only=True, status_codes=["200"]),
            *_problem_examples(codes),
        ],
    )


def documents_read(
    operation_id: str,
    response: Any,
    *,
    summary: str,
    tag: str,
    codes: Sequence[E] = (),
    parameters: Sequence[OpenApiParameter] = (),
    responses: Mapping[int, Any] | None = None,
) -> Decorate:
    """For a method that only reads."""
    codes = (*ALWAYS, E.UNKNOWN_FIELD, *codes)
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        tags=[tag],
        parameters=[
            *parameters,
            REQUEST_ID,
            _answers("Retry-After", "Seconds after which to send the same request again.", [429, 503]),
        ],
        responses={200: response, **(responses or {}), **_problems(codes)},
        examples=_problem_examples(codes),
    )


def documents_change(
    operation_id: str,
    response: Any,
    *,
    summary: str,
    tag: str,
    description: str | None = None,
    request: type[BaseSerializer[Any]] | None = None,
    request_example: Mapping[str, Any] | None = None,
    success: int = 200,
    codes: Sequence[E] = (),
) -> Decorate:
    """For a method that changes something that is not money: it takes no idempotency key."""
    body_codes = (E.VALIDATION_FAILED, E.MALFORMED_REQUEST, E.PAYLOAD_TOO_LARGE, E.UNSUPPORTED_MEDIA_TYPE)
    codes = (*ALWAYS, E.OUTCOME_UNKNOWN, *(body_codes if request else ()), *codes)
    examples = [OpenApiExample(summary, value=request_example, request_only=True)] if request_example else []
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        tags=[tag],
        request=request,
        parameters=[
            REQUEST_ID,
            _answers("Retry-After", "Seconds after which to send the same request again.", [429, 503]),
        ],
        responses={success: response, **_problems(codes)},
        examples=[*examples, *_problem_examples(codes)],
    )
