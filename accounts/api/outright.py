"""Answers that are given in front of Django: what they have in common with its own."""

from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import orjson
import structlog
from django.core.handlers.wsgi import WSGIRequest, get_path_info
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django_prometheus.middleware import Metrics
from prometheus_client import Counter, Histogram

from accounts.api.catalogue import KINDS
from accounts.api.problems import MEDIA_TYPE, about, headers_for, problem, problem_for
from accounts.domain.errors import ErrorCode, Refusal
from ops.access.address import client_address
from ops.access.policy import HeadersMiddleware, PolicyMiddleware
from ops.access.trace import request_id, settle

Environ = dict[str, Any]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_VIEW = "<unnamed view>"
"""As django-prometheus names it where a request did not come to one."""
_log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Told(NamedTuple):
    """What an answer says, before the headers that every answer has."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = "application/json"


class Redirected(Exception):
    """The request is answered by sending it elsewhere."""


def request_of(environ: Environ, path: str) -> HttpRequest:
    """A request as far as it is asked for here: it is not to be parsed."""
    request = HttpRequest.__new__(HttpRequest)
    request.META, request.path, request.method = environ, path, environ["REQUEST_METHOD"]
    return request


def finished(
    environ: Environ, told: Told, common: tuple[tuple[str, str], ...], own: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """With the headers that every answer has; the ids of the request are settled."""
    headers = [
        ("Content-Type", told.media_type),
        *told.headers.items(),
        *own,
        *common,
        ("X-Request-ID", environ["HTTP_X_REQUEST_ID"]),
        ("Content-Length", str(len(told.body))),
    ]
    return Answer(told.status, headers, told.body)


def refused(environ: Environ, code: ErrorCode, detail: str, *, closes: bool) -> Answer:
    """A problem that is told before the application is asked, logged and counted as those that it tells. `closes`:
    the connection ends, as part of the request is still to come on it."""
    settle(environ)
    request = request_of(environ, get_path_info(environ))
    _log.info("request_refused", code=code.value, **_named(request))
    told = Told(
        KINDS[code].status, orjson.dumps(problem(code, detail) | about(request)), headers_for(code), MEDIA_TYPE
    )
    method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else "<invalid method>"
    for counter in counters_of(method, NO_VIEW, told.status)[0]:
        counter.inc()
    try:
        common = common_headers(environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
    except Redirected:
        common = ()
    return finished(environ, told, common, (("Connection", "close"),) if closes else ())


def failure(request: HttpRequest, error: Exception) -> Told:
    body = problem_for(error)
    _log_failure(request, error, foreseen=body is not None)
    if body is None:
        detail = "The bank has logged what went wrong under this request id."
        body = problem(ErrorCode.INTERNAL_ERROR, detail)
    code = ErrorCode(body["code"])
    return Told(KINDS[code].status, orjson.dumps(body | about(request)), headers_for(code), MEDIA_TYPE)


def _log_failure(request: HttpRequest, error: Exception, *, foreseen: bool) -> None:
    told = _named(request)
    if foreseen:
        code = error.code.value if isinstance(error, Refusal) else type(error).__name__
        _log.info("request_refused", code=code, **told)
    else:
        _log.error("request_failed", exc_info=error, **told)


def _named(request: HttpRequest) -> dict[str, str]:
    return {
        "request": f"{request.method} {request.path}",
        "request_id": request_id(request),
        "address": client_address(request),
    }


@lru_cache(maxsize=8)
def common_headers(scheme: str, forwarded: str | None) -> tuple[tuple[str, str], ...]:
    """What Django's own middleware puts on every answer over this scheme, asked from it once.

    Raises:
        Redirected: as from HTTP to HTTPS.
    """
    handle: Any = lambda request: HttpResponse()  # noqa: E731
    for middleware in (XFrameOptionsMiddleware, PolicyMiddleware, SecurityMiddleware, HeadersMiddleware):
        handle = middleware(handle)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()}
    environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "443", "HTTP_HOST": "localhost"}
    answer = handle(WSGIRequest(environ | ({"HTTP_X_FORWARDED_PROTO": forwarded} if forwarded else {})))
    if answer.status_code != 200:
        raise Redirected
    own = {"Allow", "Vary"}
    return tuple(
        (name, value) for name, value in answer.headers.items() if name != "Content-Type" and name not in own
    )


@lru_cache(maxsize=64)
def counters_of(method: str, view: str, status: int) -> tuple[tuple[Counter, ...], Histogram]:
    """Those of django-prometheus, whose middleware counts the answers of the ordinary route."""
    metrics = Metrics.get_instance()
    return (
        metrics.requests_total,
        metrics.requests_by_method.labels(method=method),
        metrics.responses_by_status.labels(status=str(status)),
        metrics.responses_by_status_view_method.labels(status=str(status), view=view, method=method),
    ), metrics.requests_latency_by_view_method.labels(view=view, method=method)
