"""/config and /config/timeouts."""

from django.http import HttpRequest, HttpResponse, JsonResponse

from ops.access.gate import for_operators
from ops.access.permissions import VIEW_OPERATIONS
from ops.config.effective import effective_settings, timeouts


@for_operators(VIEW_OPERATIONS)
def config(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"settings": effective_settings()})


@for_operators(VIEW_OPERATIONS)
def config_timeouts(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"timeouts": timeouts()})
