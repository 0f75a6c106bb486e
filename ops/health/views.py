"""/health, /health/live and /health/ready: open to all, and careful of what they say."""

from collections.abc import Mapping

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ops.health.registry import Registered, registered_checks
from ops.health.running import run_checks


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """All checks; 503 when one fails."""
    return _answer(registered_checks())


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Can this process serve requests? Only the checks of what no request can do without; 503 when one fails."""
    return _answer({name: entry for name, entry in registered_checks().items() if entry.serving})


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Does this process answer at all? Touches nothing: a database that is down is no reason to restart it."""
    return JsonResponse({"status": "healthy"})


def _answer(checks: Mapping[str, Registered]) -> JsonResponse:
    results = run_checks(checks)
    healthy = all(result["status"] == "healthy" for result in results.values())
    body = {"status": "healthy" if healthy else "unhealthy", "checks": results}
    return JsonResponse(body, status=200 if healthy else 503)
