"""/health and its kin. Live and ready are open to all; the rest is for operators (`ops.access.gate`)."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from ops.access.gate import for_everybody, for_operators
from ops.access.permissions import VIEW_OPERATIONS
from ops.health.registry import registered_checks
from ops.health.report import worst
from ops.health.running import Watched, run_checks
from ops.instants import in_iso


@for_operators(VIEW_OPERATIONS)
def health(request: HttpRequest) -> HttpResponse:
    """Every component, and by name those that are to blame; 503 when one is unhealthy."""
    return _answer(registered_checks().values(), in_full=True)


@for_operators(VIEW_OPERATIONS)
def component(request: HttpRequest, component: str) -> HttpResponse:
    """One component; 503 when it is unhealthy."""
    check = registered_checks().get(component)
    if check is None:
        raise Http404(f"there is no component {component}")
    told = run_checks([check])[component]
    return JsonResponse({"component": component, **in_iso(told)}, status=_status(told["status"]))


@for_everybody
def ready(request: HttpRequest) -> HttpResponse:
    """Can this process serve requests? Only what no request can do without; 503 when that fails. Open to all, so it
    says which component it is, and no more."""
    return _answer([check for check in registered_checks().values() if check.serving], in_full=False)


@for_everybody
def live(request: HttpRequest) -> HttpResponse:
    """Does this process answer at all? Touches nothing: a database that is down is no reason to restart it."""
    return JsonResponse({"status": "healthy"})


def _answer(checks: Collection[Watched], *, in_full: bool) -> JsonResponse:
    results = run_checks(checks)
    status = worst(told["status"] for told in results.values())
    culprits = [name for name, told in results.items() if told["status"] != "healthy"]
    body: dict[str, Any] = {
        "status": status,
        "culprits": culprits,
        "checked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if in_full:
        blamed = [name for name in culprits if results[name]["status"] == status]
        body["reason"] = "; ".join(f"{name}: {results[name]['reason']}" for name in blamed) or "all is well"
        body["components"] = in_iso(results)
    return JsonResponse(body, status=_status(status))


def _status(status: str) -> int:
    return 503 if status == "unhealthy" else 200
