"""The fast lane: the hottest requests, answered in front of Django.

It stands on the web server's event loop (`bankes.rsgi`). Of a deposit, withdrawal, transfer or balance whose request
is in order it takes the same steps as the ordinary route, through the same functions: the ids of the request, the key
and its scopes, the body as the command's own class builds it, the executor, the problem catalogue. What is out of the
ordinary (a header that says more, a body that is not plainly right, a key that is not good) it does not judge: the
request goes on to Django, untouched, and the one implementation of that rule answers. So the lane can be left out
(FAST_LANE=false) and nothing but the speed changes; the API's tests run through both.

What it leaves out: the log line of a request that went well. Its request id, caller and address are in the books with
the event; refusals and failures are logged.
"""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import timezone
from django_prometheus.middleware import Metrics
from prometheus_client import Counter, Histogram
from rest_framework.exceptions import ParseError

from accounts import selectors
from accounts.api import bodies
from accounts.api.catalogue import KINDS
from accounts.api.commands import answer_headers
from accounts.api.headers import context_in, usable_key, version_in
from accounts.api.parsers import read_object
from accounts.api.plain import ID, plain_fields
from accounts.api.problems import MEDIA_TYPE, about, headers_for, problem, problem_for
from accounts.api.representations import balance_now, command_result
from accounts.api.scopes import ACCOUNTS_READ
from accounts.domain.errors import ErrorCode, Refusal
from accounts.reading import begin_account
from accounts.services import Envelope, Executed, Outcome, Refused, begin_one, execute_one, idempotency_key
from accounts.services.coalescing import TOO_LATE
from eventstore.errors import StoreBusy
from ops import tracing
from ops.access.address import client_address
from ops.access.checks import KeyChecks
from ops.access.keys import InvalidKey, bearer_token
from ops.access.policy import HeadersMiddleware, PolicyMiddleware
from ops.access.share import NoTurn, Share
from ops.access.trace import request_id, set_traceparent, settle, traceparent
from ops.conf import get_settings
from ops.metrics.gathered import Gathered
from ops.models import ApiKey

Environ = dict[str, Any]

COUNTED_WITHIN = 0.05
"""Seconds after which an answer is in the metrics."""
LONGEST_BODY = 4096
"""Bytes; a command is some hundred."""
_PATH = re.compile(f"/api/v1/accounts/({ID})/(balance|deposits|withdrawals|transfers)/?", re.ASCII)
_JSON = frozenset({"application/json", "application/json; charset=utf-8"})
_TAKES_JSON = frozenset({"", "*/*", "application/json"})
_log = structlog.get_logger(__name__)


BODIES: dict[str, bodies.CommandBody] = {
    "deposits": bodies.DepositBody(),
    "withdrawals": bodies.WithdrawBody(),
    "transfers": bodies.TransferBody(),
}


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


class NotPlain(Exception):
    """The request is for the ordinary route."""


class FastLane:
    """Answers on an event loop, which it never keeps waiting: commands go to the line of `accounts.services`, or else
    to one of the caller's share of `threads`."""

    def __init__(self, threads: Executor, checks: KeyChecks) -> None:
        self._threads = threads
        self._checks = checks
        self.counted = Gathered(COUNTED_WITHIN)

    async def answer(self, environ: Environ, share: Share) -> Answer | None:
        """The answer to a request (PEP 3333); None where it is for the ordinary route: then nothing was done but
        reading, and `environ` is as it was."""
        route = _PATH.fullmatch(environ["PATH_INFO"])
        if route is None:
            return None
        try:
            return await self._answer(environ, share, UUID(route[1]), route[2])
        except NotPlain:
            return None

    async def _answer(self, environ: Environ, share: Share, account_id: UUID, name: str) -> Answer:
        began = time.perf_counter()
        method = "GET" if name == "balance" else "POST"
        if environ["REQUEST_METHOD"] != method or environ.get("QUERY_STRING") or "HTTP_TRANSFER_ENCODING" in environ:
            raise NotPlain
        if environ.get("HTTP_ACCEPT", "") not in _TAKES_JSON or not _is_our_host(environ.get("HTTP_HOST", "")):
            raise NotPlain
        common = _common_headers(environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
        settle(environ)
        request = HttpRequest.__new__(HttpRequest)  # what it is asked for here is set below: it is not to be parsed
        request.META, request.path, request.method = environ, environ["PATH_INFO"], method
        parent = traceparent(request)
        try:
            with tracing.span(f"{method} fast lane", parent=parent) as own:
                if own:
                    set_traceparent(environ, own)
                if name == "balance":
                    told = await self._balance(environ, account_id)
                else:
                    told = await self._execute(request, share, account_id, BODIES[name])
        except NotPlain:
            set_traceparent(environ, parent)
            raise
        except Exception as error:
            told = _failure(request, error)
        counters, latency = _counters(method, name, told.status)
        self.counted.add(counters)
        latency.observe(time.perf_counter() - began)
        headers = [
            ("Content-Type", told.media_type),
            *told.headers.items(),
            ("Allow", ALLOWED[method]),
            *common,
            ("X-Request-ID", environ["HTTP_X_REQUEST_ID"]),
            ("Content-Length", str(len(told.body))),
        ]
        return Answer(told.status, headers, told.body)

    async def _balance(self, environ: Environ, account_id: UUID) -> Told:
        key = await self._key_with(ACCOUNTS_READ, environ)
        found = await _settled(begin_account, account_id)
        account = selectors.visible(found, account_id, key.client.custodian)
        return Told(200, orjson.dumps(balance_now(account, timezone.now())), {})

    async def _execute(self, request: HttpRequest, share: Share, account_id: UUID, body: bodies.CommandBody) -> Told:
        key = await self._key_with(body.scope, request.META)
        envelope = _envelope(request, account_id, body, key)
        if get_settings().coalesce_commands:
            executed = await _executed(envelope)
        else:
            executed = await self._in_thread(share, envelope)
        return Told(200, orjson.dumps(command_result(executed.result)), answer_headers(executed))

    async def _in_thread(self, share: Share, envelope: Envelope) -> Executed:
        try:
            async with share.thread():
                return await asyncio.get_running_loop().run_in_executor(self._threads, _execute_one, envelope)
        except NoTurn:
            raise StoreBusy(TOO_LATE) from None

    async def _key_with(self, scope: str, environ: Environ) -> ApiKey:
        token = bearer_token(environ)
        if token is None:
            raise NotPlain
        try:
            key = await self._checks.check(token)
        except (InvalidKey, TimeoutError):
            raise NotPlain from None
        if scope not in key.scopes:
            raise NotPlain
        return key


ALLOWED = {"GET": "GET, HEAD", "POST": "POST"}
"""What the ordinary route says of these routes in its answers."""


def _execute_one(envelope: Envelope) -> Executed:
    try:
        return execute_one(envelope)
    finally:
        close_old_connections()  # to the pool, as at the end of each of Django's requests


async def _executed(envelope: Envelope) -> Executed:
    """As `execute_one`."""
    became: Outcome = await _settled(begin_one, envelope)
    if isinstance(became, Refused):
        raise became.as_error()
    return became


async def _settled(begin: Callable[[Any, Callable[[Any], None]], None], what: Any) -> Any:
    """What `begin` tells of `what`, from another thread; an error is raised."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Any] = loop.create_future()

    def done(became: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(_tell, waiting, became)

    begin(what, done)
    return await waiting


def _tell(waiting: "asyncio.Future[Any]", became: Any) -> None:
    if waiting.done():  # the caller has left
        return
    if isinstance(became, BaseException):
        waiting.set_exception(became)
    else:
        waiting.set_result(became)


def _envelope(request: HttpRequest, account_id: UUID, body: bodies.CommandBody, key: ApiKey) -> Envelope:
    meta, client = request.META, key.client
    data = _plain_body(meta, body)
    try:
        idempotency = usable_key(meta.get("HTTP_IDEMPOTENCY_KEY", ""))
        expected_version = version_in(meta.get("HTTP_IF_MATCH"))
        command = body.build(account_id, data, client.actor)
    except Refusal:
        raise NotPlain from None
    return Envelope(
        command,
        context_in(request, client),
        key=idempotency_key(scope=client.actor, key=idempotency, command=command),
        expected_version=expected_version,
        custodian=client.custodian,
    )


def _plain_body(environ: Environ, body: bodies.CommandBody) -> dict[str, Any]:
    """The body's fields as the serializer would give them, when they are plainly right."""
    length = environ.get("CONTENT_LENGTH") or ""
    if environ.get("CONTENT_TYPE", "").lower() not in _JSON or not length.isascii() or not length.isdigit():
        raise NotPlain
    if not 0 < int(length) <= LONGEST_BODY:
        raise NotPlain
    raw = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(raw)  # for the ordinary route to read again
    try:
        data = read_object(raw)
    except ParseError:
        raise NotPlain from None
    fields = plain_fields(body.name, data)
    if fields is None:
        raise NotPlain
    return fields


def _failure(request: HttpRequest, error: Exception) -> Told:
    body = problem_for(error)
    _log_failure(request, error, foreseen=body is not None)
    if body is None:
        detail = "The bank has logged what went wrong under this request id."
        body = problem(ErrorCode.INTERNAL_ERROR, detail)
    code = ErrorCode(body["code"])
    return Told(KINDS[code].status, orjson.dumps(body | about(request)), headers_for(code), MEDIA_TYPE)


def _log_failure(request: HttpRequest, error: Exception, *, foreseen: bool) -> None:
    told = {"request": f"{request.method} {request.path}", "request_id": request_id(request)}
    told |= {"address": client_address(request)}
    if foreseen:
        code = error.code.value if isinstance(error, Refusal) else type(error).__name__
        _log.info("request_refused", code=code, **told)
    else:
        _log.error("request_failed", exc_info=error, **told)


@lru_cache(maxsize=256)
def _is_our_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


@lru_cache(maxsize=8)
def _common_headers(scheme: str, forwarded: str | None) -> tuple[tuple[str, str], ...]:
    """What Django's own middleware puts on every answer over this scheme, asked from it once.

    Raises:
        NotPlain: it redirects, as from HTTP to HTTPS.
    """
    handle: Any = lambda request: HttpResponse()  # noqa: E731
    for middleware in (XFrameOptionsMiddleware, PolicyMiddleware, SecurityMiddleware, HeadersMiddleware):
        handle = middleware(handle)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()}
    environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "443", "HTTP_HOST": "localhost"}
    answer = handle(WSGIRequest(environ | ({"HTTP_X_FORWARDED_PROTO": forwarded} if forwarded else {})))
    if answer.status_code != 200:
        raise NotPlain
    own = {"Allow", "Vary"}
    return tuple(
        (name, value) for name, value in answer.headers.items() if name != "Content-Type" and name not in own
    )


@lru_cache(maxsize=64)
def _counters(method: str, name: str, status: int) -> tuple[tuple[Counter, ...], Histogram]:
    """Those of django-prometheus, whose middleware counts the answers of the ordinary route."""
    metrics = Metrics.get_instance()
    view = f"api-v1:{name}"
    return (
        metrics.requests_total,
        metrics.requests_by_method.labels(method=method),
        metrics.responses_by_status.labels(status=str(status)),
        metrics.responses_by_status_view_method.labels(status=str(status), view=view, method=method),
    ), metrics.requests_latency_by_view_method.labels(view=view, method=method)
