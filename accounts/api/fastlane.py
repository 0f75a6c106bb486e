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
from typing import Any
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from rest_framework.exceptions import ParseError

from accounts import selectors
from accounts.api import bodies
from accounts.api.commands import answer_headers
from accounts.api.headers import context_in, usable_key, version_in
from accounts.api.outright import (
    Answer,
    Environ,
    Redirected,
    Told,
    common_headers,
    counters_of,
    failure,
    finished,
    request_of,
)
from accounts.api.parsers import read_object
from accounts.api.plain import ID, plain_fields
from accounts.api.representations import balance_now, command_result
from accounts.api.scopes import ACCOUNTS_READ
from accounts.domain.errors import Refusal
from accounts.reading import begin_account
from accounts.services import Envelope, Executed, Outcome, Refused, begin_one, execute_one, idempotency_key
from accounts.services.coalescing import TOO_LATE
from eventstore.errors import StoreBusy
from ops import tracing
from ops.access.checks import KeyChecks
from ops.access.keys import InvalidKey, bearer_token
from ops.access.share import NoTurn, Share
from ops.access.trace import set_traceparent, settle, traceparent
from ops.conf import get_settings
from ops.metrics.gathered import Gathered
from ops.models import ApiKey

COUNTED_WITHIN = 0.05
"""Seconds after which an answer is in the metrics."""
LONGEST_BODY = 4096
"""Bytes; a command is some hundred."""
_PATH = re.compile(f"/api/v1/accounts/({ID})/(balance|deposits|withdrawals|transfers)/?", re.ASCII)
_JSON = frozenset({"application/json", "application/json; charset=utf-8"})
_TAKES_JSON = frozenset({"*/*", "application/json"})
_log = structlog.get_logger(__name__)


BODIES: dict[str, bodies.CommandBody] = {
    "deposits": bodies.DepositBody(),
    "withdrawals": bodies.WithdrawBody(),
    "transfers": bodies.TransferBody(),
}


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
        if environ.get("HTTP_ACCEPT", "*/*") not in _TAKES_JSON or not _is_our_host(environ.get("HTTP_HOST", "")):
            raise NotPlain
        try:
            common = common_headers(environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
        except Redirected:
            raise NotPlain from None
        settle(environ)
        request = request_of(environ, environ["PATH_INFO"])
        parent = traceparent(request)
        try:
            with tracing.span(f"{method} fast lane", parent=parent, unless=NotPlain) as own:
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
            told = failure(request, error)
        counters, latency = counters_of(method, f"api-v1:{name}", told.status)
        self.counted.add(counters)
        latency.observe(time.perf_counter() - began)
        return finished(environ, told, common, ALLOWED[method])

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


ALLOWED = {"GET": (("Allow", "GET, HEAD"),), "POST": (("Allow", "POST"),)}
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


@lru_cache(maxsize=256)
def _is_our_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
