"""What request headers say about a command: its key, the version it expects, and who sends it, and why."""

import re

from django.http import HttpRequest
from rest_framework.request import Request

from accounts.api.fields import KEY_PATTERN
from accounts.domain.errors import ErrorCode, Refusal
from eventstore.events import Context
from ops.access.address import client_address
from ops.access.trace import correlation_id, request_id, traceparent
from ops.models import ApiClient, ApiKey

_KEY = re.compile(KEY_PATTERN)
_ETAG = re.compile(r'"([1-9][0-9]{0,18})"', re.ASCII)


def client_of(request: Request) -> ApiClient:
    """Who calls: permissions have seen to it that it is an API client."""
    assert isinstance(request.user, ApiClient)
    return request.user


def api_key_of(request: Request) -> ApiKey:
    """The key that the request came with."""
    assert isinstance(request.auth, ApiKey)
    return request.auth


def idempotency_key_of(request: Request) -> str:
    """
    Raises:
        Refusal: `idempotency_key_required`, also for a key that is not 1 to 255 visible ASCII characters.
    """
    return usable_key(request.headers.get("Idempotency-Key", ""))


def usable_key(key: str) -> str:
    """`key` itself. Raises as `idempotency_key_of`."""
    if not _KEY.fullmatch(key):
        raise Refusal(
            ErrorCode.IDEMPOTENCY_KEY_REQUIRED,
            "A command needs the header Idempotency-Key: 1 to 255 visible ASCII characters, such as a UUID.",
        )
    return key


def expected_version_of(request: Request) -> int | None:
    """The version in If-Match, the ETag of an account; None for no header or `*` (any version).

    Raises:
        Refusal: `malformed_request` for anything but one strong ETag.
    """
    return version_in(request.headers.get("If-Match"))


def version_in(header: str | None) -> int | None:
    """As `expected_version_of`, of the header's text."""
    if header is None or header.strip() == "*":
        return None
    match = _ETAG.fullmatch(header.strip())
    if match is None:
        raise Refusal(
            ErrorCode.MALFORMED_REQUEST, 'If-Match must be one ETag of an account, in its quotes, such as "3".'
        )
    return int(match[1])


def refuse_if_match(request: Request, instead: str) -> None:
    """For commands that are not about one known account: ignoring the caller's condition would be worse.

    Raises:
        Refusal: `malformed_request` when there is an If-Match header.
    """
    if "If-Match" in request.headers:
        raise Refusal(ErrorCode.MALFORMED_REQUEST, f"If-Match has no meaning here: {instead}.")


def etag(version: int) -> str:
    """The ETag of an account at a version."""
    return f'"{version}"'


def context_of(request: Request) -> Context:
    """Who, from where, and as part of what: stored with every event of the command."""
    return context_in(request._request, client_of(request))


def context_in(request: HttpRequest, client: ApiClient) -> Context:
    """As `context_of`, of a request that DRF has not seen."""
    return Context(
        actor=client.actor,
        source="api",
        request_id=request_id(request),
        correlation_id=correlation_id(request),
        traceparent=traceparent(request),
        address=client_address(request),
    )
