"""The thread that ties a request to its log lines, its events and its answer: request id, correlation id, trace."""

import re
from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from uuid_utils import uuid4

from ops import tracing
from ops.access.address import client_address

_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,60}", re.ASCII)
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""W3C Trace Context, version 00."""


class TraceMiddleware:
    """Settles the trace headers of a request before anyone reads them, and echoes the request id.

    An X-Request-ID that is not up to 60 plain characters is replaced by one of our own; X-Correlation-ID falls back
    to the request id; a malformed traceparent is dropped. It stands first, so that every answer carries the id.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        settle(meta)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(address=client_address(request))
        with tracing.span(str(request.method), parent=meta.get(_PARENT, "")) as traceparent:
            if traceparent:
                meta[_PARENT] = traceparent
            if _PARENT in meta:
                structlog.contextvars.bind_contextvars(trace_id=meta[_PARENT].split("-")[1])
            response = self.get_response(request)
            route = request.resolver_match.route if request.resolver_match else ""
            tracing.tell(f"{request.method} /{route}", {"http.route": route, "http.status": response.status_code})
        response["X-Request-ID"] = meta[_REQUEST_ID]
        return response


def settle(meta: dict[str, Any]) -> None:
    """Puts ids that can be trusted into the headers of a request (a WSGI environ); once settled, they stay."""
    if _ID.fullmatch(meta.get(_REQUEST_ID, "")) is None:
        meta[_REQUEST_ID] = str(uuid4())
    if _ID.fullmatch(meta.get(_CORRELATION_ID, "")) is None:
        meta[_CORRELATION_ID] = meta[_REQUEST_ID]
    if _PARENT in meta and _TRACEPARENT.fullmatch(meta[_PARENT]) is None:
        del meta[_PARENT]


_REQUEST_ID, _CORRELATION_ID, _PARENT = "HTTP_X_REQUEST_ID", "HTTP_X_CORRELATION_ID", "HTTP_TRACEPARENT"


def request_id(request: HttpRequest) -> str:
    """The id under which this request is logged and answered: up to 60 plain characters."""
    return str(request.META.get(_REQUEST_ID, ""))


def correlation_id(request: HttpRequest) -> str:
    """The caller's own id for what this request is part of, or else the request id."""
    return str(request.META.get(_CORRELATION_ID, ""))


def traceparent(request: HttpRequest) -> str:
    """The span that the request is part of (W3C Trace Context): our own, else the caller's, or ""."""
    return str(request.META.get(_PARENT, ""))


def set_traceparent(meta: dict[str, Any], value: str) -> None:
    if value:
        meta[_PARENT] = value
    else:
        meta.pop(_PARENT, None)
