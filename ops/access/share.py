"""What one API client may take of a process: so that a partner's runaway program keeps nobody else waiting."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from ops.access.keys import bearer_token, trusted_key
from ops.conf import get_settings
from ops.models import ApiClient

TOLD_EVERY = 60.0
"""Seconds between two lines in the log about the same client."""
_log = structlog.get_logger(__name__)


class Shares:
    """Requests in hand by API client. For one event loop alone: nothing here is locked.

    A client is known by a key that was found good a moment ago. The first requests of one who was long silent are
    nobody's, and not counted: whoever merely claims to be a client takes nothing of its share.
    """

    def __init__(self) -> None:
        self._in_hand = Counter[int]()
        self._told: dict[int, float] = {}

    def client_of(self, environ: Mapping[str, Any]) -> ApiClient | None:
        """Whose request it is (PEP 3333), as far as that is known without asking."""
        token = bearer_token(environ)
        key = trusted_key(token) if token else None
        return key.client if key else None

    def take(self, client: ApiClient | None) -> bool:
        """A place for one request, to be given back; False where the client has MAX_REQUESTS_PER_CLIENT in hand."""
        if client is None:
            return True
        if self._in_hand[client.pk] >= get_settings().max_requests_per_client:
            self._tell(client)
            return False
        self._in_hand[client.pk] += 1
        return True

    def give_back(self, client: ApiClient | None) -> None:
        if client is not None:
            self._in_hand[client.pk] -= 1

    def _tell(self, client: ApiClient) -> None:
        now = time.monotonic()
        if now - self._told.get(client.pk, float("-inf")) >= TOLD_EVERY:
            self._told[client.pk] = now
            _log.warning("client_beyond_its_share", client=client.name, in_hand=self._in_hand[client.pk])
