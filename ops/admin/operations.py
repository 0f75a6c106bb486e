"""The page "Operations": what is in hand and what is wrong with it right now, and the emergency procedures."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from ops import operations
from ops.access.permissions import END_SESSIONS, VIEW_OPERATIONS
from ops.admin.emergency import CleanUp, EndSession, EndTransactions, ResetPools
from ops.admin.end_operation import EndOperation
from ops.admin.lists import Column
from ops.admin.operations_tables import HELD, IN_HAND, POOLS, TRANSACTIONS, tree
from ops.admin.procedure import Procedure, run
from ops.admin.readonly import ReadOnlyAdmin
from ops.database import pool_facts
from ops.detectors import CannotLook, Finding, blocked, held_connections, long_transactions, stuck_operations
from ops.models import Incident, OperationsAccess

MOST = 100
"""Rows of one table; the heading says how many there are."""
PROCEDURES: dict[str, type[Procedure]] = {
    "end-transactions": EndTransactions,
    "reset-pools": ResetPools,
    "clean-up": CleanUp,
}


@admin.register(OperationsAccess)
class OperationsAdmin(ReadOnlyAdmin):
    """One page, of no table: it asks the boards of the processes and PostgreSQL's list of sessions."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(VIEW_OPERATIONS))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="ops_operationsaccess_changelist"),
            path("end-session/<int:pid>/", view(self.end_session_view), name="ops_end_session"),
            path("end-operation/<uuid:operation>/", view(self.end_operation_view), name="ops_end_operation"),
            *(
                path(f"{name}/", view(self._view_of(procedure)), name=f"ops_{name}")
                for name, procedure in PROCEDURES.items()
            ),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        ends, cancels = self._session_ender(request), self._canceller(request)
        active = operations.active()
        stuck = [found["detail"]["operation"] for found in stuck_operations()]
        context = {
            "title": "Operations",
            "at": timezone.now(),
            "tools": self._tools(request),
            "open_incidents": Incident.objects.filter(ended_at=None).count(),
            "in_hand": _table("In hand", IN_HAND, active, cancels),
            "stuck": _table("Stuck", IN_HAND, stuck, cancels),
            "pools": _table("Pools", POOLS, pool_facts()),
            "held": _table("Connections held too long", HELD, [f["detail"] for f in held_connections()], ends),
        }
        return self.render(request, "ops/operations.html", {**context, **self._looked(ends)})

    def _looked(self, ends: Callable[[int], str]) -> dict[str, Any]:
        """What PostgreSQL tells, or that it does not answer."""
        try:
            found: list[Finding] = long_transactions()
            return {
                "blocking": tree(blocked(), ends),
                "transactions": _table("Long transactions", TRANSACTIONS, found, ends),
            }
        except CannotLook as error:
            return {"cannot_look": str(error)}

    def _tools(self, request: HttpRequest) -> list[dict[str, str]]:
        return [
            {"label": procedure.button, "url": reverse(f"admin:ops_{name}")}
            for name, procedure in PROCEDURES.items()
            if request.user.has_perm(procedure.permission)
        ]

    def _session_ender(self, request: HttpRequest) -> Callable[[int], str]:
        """The URL at which a session is ended; empty for who may not."""
        may = request.user.has_perm(END_SESSIONS)
        return lambda pid: reverse("admin:ops_end_session", args=[pid]) if may else ""

    def _canceller(self, request: HttpRequest) -> Callable[[str], str]:
        """The same, of an operation by its id."""
        may = request.user.has_perm(END_SESSIONS)
        return lambda operation: reverse("admin:ops_end_operation", args=[operation]) if may else ""

    def _view_of(self, procedure: type[Procedure]) -> Callable[[HttpRequest], HttpResponse]:
        return lambda request: run(self, request, procedure(), back=_here())

    def end_session_view(self, request: HttpRequest, pid: int) -> HttpResponse:
        return run(self, request, EndSession(pid), back=_here())

    def end_operation_view(self, request: HttpRequest, operation: UUID) -> HttpResponse:
        return run(self, request, EndOperation(str(operation)), back=_here())


def _here() -> str:
    return reverse("admin:ops_operationsaccess_changelist")


def _table(
    title: str, columns: Sequence[Column], rows: Sequence[Any], ends: Callable[[Any], str] | None = None
) -> dict[str, Any]:
    shown = rows[:MOST] if ends is None else [{**row, "ends": ends} for row in rows[:MOST]]
    return {
        "title": title,
        "count": len(rows),
        "shown": len(shown),
        "headings": columns,
        "rows": [[(column, column.cell(row)) for column in columns] for row in shown],
    }
