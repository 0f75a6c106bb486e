"""/debug/state, /debug/active-operations, /debug/stuck-operations and POST /debug/cleanup."""

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse, JsonResponse

from ops.access.gate import for_operators, problem
from ops.access.permissions import RUN_CLEANUP, VIEW_OPERATIONS
from ops.audit.record import record
from ops.conf import get_settings
from ops.debug.cleanup import clean_up
from ops.debug.state import active_operations, stuck, system_state
from ops.instants import in_iso
from ops.timeouts import within

STATE_WITHIN = 5.0
"""Seconds that the sections which ask PostgreSQL get together."""
CLEANUP_WITHIN = 50.0
"""Seconds: nothing here ends a request, but proxies and callers commonly wait for 60. What is left over goes with the
next cleanup."""
FLAGS = {"": False, "false": False, "0": False, "no": False, "true": True, "1": True, "yes": True}


@for_operators(VIEW_OPERATIONS)
def state(request: HttpRequest) -> HttpResponse:
    with within(min(STATE_WITHIN, get_settings().health_check_timeout)):
        return JsonResponse(_dated(system_state()))


@for_operators(VIEW_OPERATIONS)
def active(request: HttpRequest) -> HttpResponse:
    return JsonResponse(_dated(active_operations()))


@for_operators(VIEW_OPERATIONS)
def stuck_operations(request: HttpRequest) -> HttpResponse:
    return JsonResponse(_dated(stuck()))


@for_operators(RUN_CLEANUP, changes=True)
def cleanup(request: HttpRequest) -> HttpResponse:
    """Removes what may go, and says how much that was; with dry_run=true it says how much that would be.

    A form or query parameter `reason` goes into the audit, where every run is noted.
    """
    asked = (request.GET.get("dry_run") or request.POST.get("dry_run") or "").lower()
    if asked not in FLAGS:
        return problem(request, 400, "validation_failed", f"dry_run is {asked[:20]!r}: it must be true or false.")
    dry_run = FLAGS[asked]
    if not dry_run and request.META["ops.actor"].startswith("staff:"):
        told = (
            "In the admin a cleanup takes two persons: ask for it on the page Operations. With dry_run=true it is "
            "counted here."
        )
        return problem(request, 403, "permission_denied", told)
    with within(CLEANUP_WITHIN):
        done = clean_up(dry_run=dry_run)
    record(
        request,
        action="cleanup_dry_run" if dry_run else "cleanup",
        subject="installation",
        reason=(request.GET.get("reason") or request.POST.get("reason") or "asked for by POST /debug/cleanup")[:500],
        detail=done.removed | {"unfinished": done.unfinished},
        actor=request.META["ops.actor"],
    )
    total = sum(done.removed.values())
    answer = {"dry_run": dry_run, "removed": done.removed, "total": total, "unfinished": done.unfinished}
    return JsonResponse(_dated(answer))


def _dated(body: dict[str, object]) -> dict[str, object]:
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **in_iso(body)}
