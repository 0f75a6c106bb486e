"""What one API client may take of a process: so that a partner's runaway program keeps nobody else waiting."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from django.db import Error

from ops.access.checks import KeyChecks
from ops.access.keys import InvalidKey, bearer_token, known_key
from ops.conf import get_settings
from ops.models import ApiClient

TOLD_EVERY = 60.0
"""Seconds between two lines in the log about the same client."""
_log = structlog.get_logger(__name__)


class NoTurn(Exception):
    """A caller's threads were all taken, for too long. Nothing was done."""


class Share:
    """What one caller has in hand."""

    def __init__(self, threads: int, client: ApiClient | None = None) -> None:
        self.client = client
        self.in_hand = 0
        self._threads = asyncio.Semaphore(threads)

    @asynccontextmanager
    async def thread(self) -> AsyncIterator[None]:
        """One of the caller's threads is its own for the block; who waits for one waits in none.

        Raises:
            NoTurn: its turn did not come within BATCH_PROCESSING_TIMEOUT.
        """
        try:
            async with asyncio.timeout(get_settings().batch_processing_timeout):
                await self._threads.acquire()
        except TimeoutError:
            raise NoTurn from None
        try:
            yield
        finally:
            self._threads.release()


class Shares:
    """Requests in hand by API client. For one event loop alone: nothing here is locked.

    A client is known by a key that was found good once, however long ago; one that is not good any more opens nothing
    and is forgotten when that is noticed. Requests whose token is nobody's have one share together: whoever merely
    claims to be a client takes nothing of the client's. Those without a token (the pages of staff) are not bounded.
    """

    def __init__(self, checks: KeyChecks, *, threads: int, threads_per_client: int) -> None:
        self._checks = checks
        self._threads_per_client = threads_per_client
        self._clients: dict[int, Share] = {}
        self._unknown, self._pages = Share(threads_per_client), Share(threads)
        self._told: dict[int, float] = {}

    async def take(self, environ: Mapping[str, Any]) -> Share | None:
        """A place for one request (PEP 3333), to be given back; None where the client has MAX_REQUESTS_PER_CLIENT in
        hand."""
        token = bearer_token(environ)
        share = self._of(await self._client_of(token)) if token else self._pages
        if share.client is not None and share.in_hand >= get_settings().max_requests_per_client:
            self._tell(share.client, share.in_hand)
            return None
        share.in_hand += 1
        return share

    def give_back(self, share: Share) -> None:
        share.in_hand -= 1
        if share.client is not None and not share.in_hand:
            del self._clients[share.client.pk]

    async def _client_of(self, token: str) -> ApiClient | None:
        try:
            key = known_key(token) or await self._checks.check(token)
        except (InvalidKey, Error, TimeoutError):  # the request's own route tells the caller
            return None
        return key.client

    def _of(self, client: ApiClient | None) -> Share:
        if client is None:
            return self._unknown
        share = self._clients.get(client.pk)
        if share is None:
            share = self._clients[client.pk] = Share(self._threads_per_client, client)
        return share

    def _tell(self, client: ApiClient, in_hand: int) -> None:
        now = time.monotonic()
        if now - self._told.get(client.pk, float("-inf")) >= TOLD_EVERY:
            self._told[client.pk] = now
            _log.warning("client_beyond_its_share", client=client.name, in_hand=in_hand)
