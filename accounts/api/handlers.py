"""What Django itself answers when something fails outside of a view: a problem below /api/, a page elsewhere."""

import sys

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults

from accounts.api.problems import MEDIA_TYPE, about, headers_for, problem
from accounts.domain.errors import ErrorCode
from ops.timeouts.outage import is_outage


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A host name that is not ours, or a request that Django finds suspicious."""
    is_host = isinstance(exception, DisallowedHost)
    if not _wants_problem(request):
        return defaults.bad_request(request, exception, "400_host.html" if is_host else "400.html")
    told = (
        "The bank does not answer to the host name in the header Host: it must be one of ALLOWED_HOSTS."
        if is_host
        else "The request was refused before it was read. Nothing was done."
    )
    return _answer(request, ErrorCode.MALFORMED_REQUEST, told)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _wants_problem(request):
        return defaults.permission_denied(request, exception)
    return _answer(request, ErrorCode.PERMISSION_DENIED, "This may not be done.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _wants_problem(request):
        return defaults.page_not_found(request, exception)
    return _answer(request, ErrorCode.NOT_FOUND, "There is nothing at this path.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Nothing of the inside is told: the request id leads the bank to its log. Without the database it is 503."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):  # Django calls this while it handles it
        return _too_busy(request)
    if not _wants_problem(request):
        return defaults.server_error(request)
    return _answer(request, ErrorCode.INTERNAL_ERROR, "The bank has logged what went wrong under this request id.")


def _too_busy(request: HttpRequest) -> HttpResponse:
    if _wants_problem(request):
        return _answer(request, ErrorCode.OVERLOADED, "The database gave no answer in time.")
    page = render_to_string("503_database.html" if is_outage(sys.exc_info()[1]) else "503.html")
    return HttpResponse(page, status=503, headers=headers_for(ErrorCode.OVERLOADED))


def _wants_problem(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/problems/", "/health", "/metrics", "/config", "/debug"))


def _answer(request: HttpRequest, code: ErrorCode, detail: str) -> HttpResponse:
    body = problem(code, detail) | about(request)
    return JsonResponse(body, status=body["status"], content_type=MEDIA_TYPE, headers=headers_for(code))
