"""API keys: issuing, revoking, and telling a right one from a wrong one.

A token reads `bk_<prefix>_<secret>`: 12 hexadecimal digits by which it is found, then 256 random bits. It is shown
once, when it is issued; only its SHA-256 is kept. A slow hash would add nothing: there is no dictionary of 256 random
bits to try.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from ops.access.scopes import known_scopes
from ops.conf import get_settings
from ops.models import ApiClient, ApiKey

USE_IS_NOTED_EVERY = timedelta(minutes=1)
MOST_KNOWN = 10_000
_TOKEN = re.compile(r"bk_(?P<prefix>[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_NO_DIGEST = bytes(32)


class KeyNotIssued(Exception):
    """A key must not be issued like this; `field` is the input at fault. Nothing was written."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class InvalidKey(Exception):
    """A token that opens nothing. The message may be shown to whoever sent it."""


def issue_key(
    *, client: ApiClient, scopes: Collection[str], expires_at: datetime, issued_by: User | None
) -> tuple[ApiKey, str]:
    """A new key and its token. The token cannot be had again: show it now, and store it nowhere.

    Raises:
        KeyNotIssued: no scope or an unknown one, an expiry that is naive or past, a client that is not active.
    """
    if not client.is_active:
        raise KeyNotIssued("client", "The client is not active: activate it first.")
    if unknown := sorted(set(scopes) - known_scopes().keys()):
        raise KeyNotIssued("scopes", f"There is no scope {', '.join(unknown)}.")
    if not scopes:
        raise KeyNotIssued("scopes", "A key needs at least one scope.")
    if timezone.is_naive(expires_at) or expires_at <= timezone.now():
        raise KeyNotIssued("expires_at", "The expiry must be a moment in the future, with a time zone.")
    prefix = secrets.token_hex(6)
    token = f"bk_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        client=client,
        prefix=prefix,
        digest=_digest(token),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=issued_by,
    )
    return key, token


def revoke_key(key: ApiKey) -> bool:
    """Ends a key at once and for good; False if it had been revoked before."""
    now = timezone.now()
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now) == 1
    _trusted.forget()
    key.refresh_from_db(fields=["revoked_at"])
    return revoked


def check_token(token: str) -> ApiKey:
    """The key of a token, with its client, in one query.

    An unknown prefix costs the same work as a wrong secret, and is told in the same words.

    A key that was found good is believed for API_KEY_TRUST seconds; what this process changes counts at once.

    Raises:
        InvalidKey: the token is malformed, unknown, wrong, expired or revoked, or its client is not active.
    """
    digest, now = _digest(token), timezone.now()
    key = _trusted.get(digest)
    if key is None or key.expires_at <= now:
        generation = _trusted.generation
        try:
            key = _read(token, digest, now)
        except InvalidKey:
            _trusted.drop(digest)
            raise
        _trusted.put(digest, key, generation)
    _note_use(key, now)
    return key


def bearer_token(environ: Mapping[str, Any]) -> str | None:
    """What a request (a WSGI environ) brings as `Authorization: Bearer <token>`; None where it brings none."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def trusted_key(token: str) -> ApiKey | None:
    """What `check_token` would give without asking the database; None where it would have to."""
    key, now = _trusted.get(_digest(token)), timezone.now()
    return None if key is None or key.expires_at <= now or _is_to_be_noted(key, now) else key


def known_key(token: str) -> ApiKey | None:
    """The key of a token that was found good, however long ago: it tells who calls, and opens nothing."""
    return _trusted.known(_digest(token))


def changes() -> int:
    """Goes up when this process changes a key or a client."""
    return _trusted.generation


def _read(token: str, digest: bytes, now: datetime) -> ApiKey:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidKey("The token does not have the form of an API key.")
    key = ApiKey.objects.select_related("client").filter(prefix=match["prefix"]).first()
    if not hmac.compare_digest(digest, bytes(key.digest) if key else _NO_DIGEST) or key is None:
        raise InvalidKey("There is no such API key.")
    if key.revoked_at is not None:
        raise InvalidKey("The API key was revoked.")
    if key.expires_at <= now:
        raise InvalidKey("The API key has expired.")
    if not key.client.is_active:
        raise InvalidKey("The API client is not active.")
    return key


class _Trusted:
    """Keys that were found good, by the digest of their token; the token itself is kept nowhere. They are believed
    for a moment, and known until this process notices that they are not good any more."""

    def __init__(self) -> None:
        self._keys: dict[bytes, tuple[ApiKey, float]] = {}
        self.generation = 0
        """Goes up when a key or client changes: what was read before that is not believed."""

    def get(self, digest: bytes) -> ApiKey | None:
        key, until = self._keys.get(digest, (None, 0.0))
        return key if time.monotonic() < until else None

    def known(self, digest: bytes) -> ApiKey | None:
        return self._keys.get(digest, (None, 0.0))[0]

    def put(self, digest: bytes, key: ApiKey, generation: int) -> None:
        if generation != self.generation:
            return
        if len(self._keys) >= MOST_KNOWN:
            self._keys = {}
        self._keys[digest] = (key, time.monotonic() + get_settings().api_key_trust)

    def drop(self, digest: bytes) -> None:
        self._keys.pop(digest, None)

    def forget(self, **_: object) -> None:
        self.generation += 1
        self._keys = {}


_trusted = _Trusted()
for _kind in (ApiKey, ApiClient):
    post_save.connect(_trusted.forget, sender=_kind, weak=False)
    post_delete.connect(_trusted.forget, sender=_kind, weak=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _is_to_be_noted(key: ApiKey, now: datetime) -> bool:
    return key.last_used_at is None or key.last_used_at <= now - USE_IS_NOTED_EVERY


def _note_use(key: ApiKey, now: datetime) -> None:
    """To the minute: a busy key must not cost a write for each request."""
    if _is_to_be_noted(key, now):
        not_noted = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_IS_NOTED_EVERY)
        ApiKey.objects.filter(not_noted, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
