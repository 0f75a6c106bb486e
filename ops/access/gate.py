"""Who may read health, metrics, configuration and debug pages, and clean up: the gate of the operations endpoints.

Any one of these opens it:
- a call from this machine itself that no proxy passed on: a loopback address, none of the headers that proxies add,
  and a Host that names this machine (a browser that was lured here, under another name or by a page of another site,
  is not let in);
- a caller within OPS_ALLOWED_NETWORKS, for reading;
- an API key with the scope `ops:read`, or `ops:write` where something is changed;
- a signed-in member of staff with the permission.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import structlog
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from ops.access.address import client_address
from ops.access.keys import InvalidKey, bearer_token, check_token
from ops.access.scopes import OPS_READ, OPS_WRITE
from ops.access.trace import request_id
from ops.audit.record import staff_actor
from ops.conf import get_settings

View = Callable[..., HttpResponse]
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
PROXY_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP",
)
MEDIA_TYPE = "application/problem+json"
READING, CHANGING = ("GET", "HEAD"), ("POST",)
"""Methods."""


class NotLetIn(Exception):
    """The message tells the caller how to get in."""

    def __init__(self, message: str, status: int = 403, code: str = "permission_denied") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def for_operators(permission: str, *, changes: bool = False) -> Callable[[View], View]:
    """Makes a view of the gate's: GET and HEAD, or with `changes` POST alone; never cached.

    The view finds who calls in `request.META["ops.actor"]`.
    """

    def guard(view: View) -> View:
        @csrf_exempt  # a browser's session is checked below, where it is what lets the caller in
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, **arguments: str) -> HttpResponse:
            allowed = CHANGING if changes else READING
            try:
                request.META["ops.actor"] = actor_of(request, permission, changes=changes)
            except NotLetIn as error:
                return problem(request, error.status, error.code, str(error))
            except (OperationalError, InterfaceError):
                return problem(request, 503, "overloaded", "The database that knows keys and staff does not answer.")
            if request.method not in allowed:
                return method_refused(request, allowed)
            structlog.contextvars.bind_contextvars(actor=request.META["ops.actor"])
            return view(request, **arguments)

        return guarded

    return guard


def for_everybody(view: View) -> View:
    """Makes a view that is open to all: GET and HEAD; never cached."""

    @csrf_exempt  # else another method is told of a CSRF token that it lacks, and would be refused with one as well
    @never_cache
    @wraps(view)
    def opened(request: HttpRequest, **arguments: str) -> HttpResponse:
        return view(request, **arguments) if request.method in READING else method_refused(request, READING)

    return opened


def actor_of(request: HttpRequest, permission: str, *, changes: bool) -> str:
    """Who calls: "local", "network:ADDRESS", "client:NAME" or "staff:NAME".

    Raises:
        NotLetIn: none of the ways in is open to this caller.
    """
    if request.META.get("HTTP_AUTHORIZATION"):
        return _by_key(request, OPS_WRITE if changes else OPS_READ)
    if is_local(request):
        return "local"
    if not changes and (address := _allowed_address(request)):
        return f"network:{address}"
    user = request.user
    if user.is_authenticated and user.is_active and user.is_staff and user.has_perm(permission):
        if changes:
            _require_csrf_token(request)
        return staff_actor(user)
    scope = OPS_WRITE if changes else OPS_READ
    network = "" if changes else "from a network in OPS_ALLOWED_NETWORKS, "
    raise NotLetIn(
        f"Call from the machine itself without a proxy (http://localhost:PORT{request.path}), {network}with an API "
        f"key that has the scope {scope}, or signed in as staff with the permission {permission}."
    )


def is_local(request: HttpRequest) -> bool:
    """Whether the call comes from this machine, straight and under its own name, and from no other site's page."""
    if any(request.META.get(name) for name in PROXY_HEADERS):
        return False
    if request.META.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin and urlsplit(origin).netloc != request.META.get("HTTP_HOST"):
        return False
    try:
        host = request.get_host()
        direct = ip_address(request.META.get("REMOTE_ADDR", ""))
    except (DisallowedHost, ValueError):
        return False
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return direct.is_loopback and name in LOCAL_NAMES


def _allowed_address(request: HttpRequest) -> str:
    """The caller's address if it lies in an allowed network, else ""."""
    address = client_address(request)
    networks = get_settings().ops_allowed_networks
    inside = address and any(ip_address(address) in ip_network(network) for network in networks)
    return address if inside else ""


def _by_key(request: HttpRequest, scope: str) -> str:
    token = bearer_token(request.META)
    if token is None:
        raise NotLetIn("Send the API key as: Authorization: Bearer <key>.", 401, "not_authenticated")
    try:
        key = check_token(token)
    except InvalidKey as error:
        raise NotLetIn(str(error), 401, "not_authenticated") from None
    if scope not in key.scopes:
        raise NotLetIn(f"The API key lacks the scope {scope}.")
    return key.client.actor


def _require_csrf_token(request: HttpRequest) -> None:
    middleware = CsrfViewMiddleware(lambda request: HttpResponse())
    middleware.process_request(request)
    if middleware.process_view(request, lambda request: HttpResponse(), (), {}) is not None:
        raise NotLetIn("The CSRF token is missing or wrong: send it as X-CSRFToken.")


def method_refused(request: HttpRequest, allowed: Sequence[str]) -> JsonResponse:
    told = f"{request.method} is not offered here: send {' or '.join(allowed)}."
    answer = problem(request, 405, "method_not_allowed", told)
    answer["Allow"] = ", ".join(allowed)
    return answer


def problem(request: HttpRequest, status: int, code: str, detail: str) -> JsonResponse:
    """An RFC 9457 problem, in the shape and with the codes of the API's own."""
    titles = {401: "Not authenticated", 403: "Permission denied", 405: "Method not allowed", 503: "Overloaded"}
    body = {
        "type": f"/problems/{code}",
        "title": titles.get(status, "Not valid"),
        "status": status,
        "code": code,
        "detail": detail,
        "instance": request.path,
        "request_id": request_id(request),
    }
    headers = {401: {"WWW-Authenticate": 'Bearer realm="bankes"'}, 503: {"Retry-After": "1"}}.get(status, {})
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE, headers=headers)
