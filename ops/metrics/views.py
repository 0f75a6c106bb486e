"""/metrics for Prometheus, and /metrics/COMPONENT for people."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST

from ops.access.gate import for_operators
from ops.access.permissions import VIEW_OPERATIONS
from ops.health.registry import registered_checks
from ops.health.running import run_checks
from ops.metrics.exposition import exposition

OF_COMPONENTS = ("pool", "cache", "kafka", "redis")


@for_operators(VIEW_OPERATIONS)
def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


@for_operators(VIEW_OPERATIONS)
def component(request: HttpRequest, component: str) -> HttpResponse:
    """What is measured of one component, as JSON; 503 where nothing could be measured in time."""
    check = registered_checks().get(component)
    if check is None or component not in OF_COMPONENTS:
        raise Http404(f"there are no metrics of {component}")
    told = run_checks([check])[component]
    body = {
        "component": component,
        "status": told["status"],
        "reason": told["reason"],
        "metrics": told["values"],
        "collected_at": told["checked_at"],
    }
    return JsonResponse(body, status=200 if told["values"] else 503)
