"""Errors as RFC 9457 problems: one shape for every way in which a request can fail."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.api.catalogue import KINDS
from accounts.domain.errors import ErrorCode, Refusal
from accounts.services import Refused
from eventstore.errors import BrokenHistory, OutcomeUnknown, StoreBusy, TooManyCommands
from ops.access.trace import request_id

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger(__name__)
FieldError = dict[str, str]


class PayloadTooLarge(exceptions.APIException):
    """A body beyond DATA_UPLOAD_MAX_MEMORY_SIZE."""

    status_code = 413
    default_code = ErrorCode.PAYLOAD_TOO_LARGE


def type_uri(code: ErrorCode) -> str:
    """The stable URI of a code; a caller with a key can read there what it means."""
    return f"/problems/{code.value}"


def problem(code: ErrorCode, detail: str, *, errors: Sequence[FieldError] = (), **extra: Any) -> dict[str, Any]:
    """The members that do not depend on the request; `extra` holds further facts."""
    kind = KINDS[code]
    body: dict[str, Any] = {
        "type": type_uri(code),
        "title": kind.title,
        "status": kind.status,
        "code": code.value,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return body | extra


def problem_of(refused: Refused | Refusal) -> dict[str, Any]:
    """A refusal as a problem; the field at fault is its only field error."""
    errors = [field_error(refused.field, refused.code, refused.message)] if refused.field else []
    return problem(refused.code, refused.message, errors=errors) | refused.extra


def refused_for(error: exceptions.ValidationError) -> Refused:
    """A body that serializers refuse, with an error for each field; its code is theirs where they agree."""
    errors = field_errors(error.detail)
    return Refused(_common_code(errors), "The request is not valid: see errors.", extra={"errors": errors})


def field_error(field: str, code: ErrorCode, message: str) -> FieldError:
    return {"field": field, "code": code.value, "message": message}


def about(request: HttpRequest) -> dict[str, str]:
    """The members that tell which request went wrong."""
    return {"instance": request.path, "request_id": request_id(request)}


def headers_for(code: ErrorCode) -> dict[str, str]:
    seconds = KINDS[code].retry_after
    return {} if seconds is None else {"Retry-After": str(seconds)}


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None for what nobody foresaw: Django logs it, `handlers.server_error` answers."""
    body = problem_for(exc)
    if body is None:
        return None
    headers = headers_for(ErrorCode(body["code"]))
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Response(body | about(context["request"]), status=body["status"], headers=headers, content_type=MEDIA_TYPE)


def problem_for(exc: Exception) -> dict[str, Any] | None:
    """The problem that an exception is answered with, less what `about` tells; None for what nobody foresaw."""
    if isinstance(exc, Refusal):
        return problem_of(exc)
    if isinstance(exc, exceptions.ValidationError):
        return problem_of(refused_for(exc))
    if isinstance(exc, OutcomeUnknown):
        return problem(
            ErrorCode.OUTCOME_UNKNOWN, "The connection to the books was lost: it may or may not have happened."
        )
    if isinstance(exc, BrokenHistory):
        _log.error("history_broken", error=str(exc), exc_info=exc)  # what contradicts what is for the bank alone
        return problem(ErrorCode.BROKEN_HISTORY, "Nothing was done: bank staff must mend the account first.")
    if isinstance(exc, TooManyCommands):
        return problem(ErrorCode.OVERLOADED, "The bank has as much in hand as it takes at once. Nothing was done.")
    if isinstance(exc, (StoreBusy, OperationalError, InterfaceError)):
        return problem(ErrorCode.OVERLOADED, "The database gave no answer in time. Nothing was done.")
    for kind, code in _CODES:
        if isinstance(exc, kind):
            return problem(code, _detail(exc, code))
    return None


_CODES: list[tuple[type[Exception], ErrorCode]] = [
    (exceptions.NotAuthenticated, ErrorCode.NOT_AUTHENTICATED),
    (exceptions.AuthenticationFailed, ErrorCode.NOT_AUTHENTICATED),
    (exceptions.PermissionDenied, ErrorCode.PERMISSION_DENIED),
    (PermissionDenied, ErrorCode.PERMISSION_DENIED),
    (exceptions.NotFound, ErrorCode.NOT_FOUND),
    (Http404, ErrorCode.NOT_FOUND),
    (exceptions.MethodNotAllowed, ErrorCode.METHOD_NOT_ALLOWED),
    (exceptions.NotAcceptable, ErrorCode.NOT_ACCEPTABLE),
    (exceptions.UnsupportedMediaType, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
    (exceptions.ParseError, ErrorCode.MALFORMED_REQUEST),
    (PayloadTooLarge, ErrorCode.PAYLOAD_TOO_LARGE),
]


def _detail(exc: Exception, code: ErrorCode) -> str:
    if isinstance(exc, _SAYS_NO_REMEDY):
        return f"{exc.detail} {KINDS[code].remedy}"
    if isinstance(exc, exceptions.APIException) and isinstance(exc.detail, str):
        return str(exc.detail)
    return KINDS[code].title + "."


_SAYS_NO_REMEDY = (
    exceptions.NotAuthenticated,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.UnsupportedMediaType,
)
"""DRF's own sentences, which tell what is wrong and not what to do."""


def field_errors(detail: Any) -> list[FieldError]:
    """DRF's nested error detail, flattened: "commands.3" names the fourth command."""
    return [field_error(path or "body", _field_code(message), str(message)) for path, message in _leaves(detail, "")]


def _leaves(detail: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _leaves(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _leaves(inner, path)
    else:
        yield path, detail


def _field_code(message: Any) -> ErrorCode:
    code = getattr(message, "code", None)
    return code if isinstance(code, ErrorCode) else ErrorCode.VALIDATION_FAILED  # DRF's own codes are not published


def _common_code(errors: Sequence[FieldError]) -> ErrorCode:
    codes = {error["code"] for error in errors}
    return ErrorCode(codes.pop()) if len(codes) == 1 else ErrorCode.VALIDATION_FAILED
