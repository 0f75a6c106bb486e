"""What each read model is doing, and how far it has come."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from eventstore.admin.projection_procedures import PROCEDURES
from eventstore.approvals import compared
from eventstore.models import ProjectionState
from eventstore.projections import all_read_models
from eventstore.projections.base import Inline
from ops.admin.keyset import Keyset, text_key
from ops.admin.lists import Column, KeysetAdmin
from ops.admin.procedure import run
from ops.html import badge, link, page_of, when

TONES = {"running": "good", "paused": "warn", "failed": "bad"}


@admin.register(ProjectionState)
class ProjectionStateAdmin(KeysetAdmin):
    list_title = "Projections"
    about = (
        "Read models that follow the feed of events. “Behind” counts positions up to the last one drawn: a large "
        "number that does not fall means that no projector runs (manage.py run_projections)."
    )
    when_empty = "Start the projector: manage.py run_projections."
    object_template = "ops/managed.html"
    keyset = Keyset(("name",), (text_key,), descending=False)
    columns = (
        Column("Projection", lambda state: link(page_of("eventstore.projectionstate", state.name), state.name)),
        Column("State", lambda state: badge(state.state.capitalize(), TONES.get(state.state, "plain"))),
        Column("Reason", lambda state: state.reason or "–"),
        Column("Generation", lambda state: state.active_generation, numeric=True),
        Column("Position", lambda state: state.position, numeric=True),
        Column("Behind", lambda state: state.behind, numeric=True),
        Column("Changed (UTC)", lambda state: when(state.changed_at)),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        slowest = (
            "SELECT coalesce(min(c.position), 0) FROM projection_checkpoints c"
            " WHERE c.projection = projections.name AND c.generation = projections.active_generation"
        )
        end = "SELECT coalesce(max(position), 0) FROM events"
        return (
            super()
            .get_queryset(request)
            .extra(select={"position": f"({slowest})", "behind": f"greatest(0, ({end}) - ({slowest}))"})  # noqa: S610
        )

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.procedure_view)
        return [
            path(f"<slug:name>/{what}/", view, {"what": what}, name=f"eventstore_projection_{what}")
            for what in PROCEDURES
        ]

    def procedure_view(self, request: HttpRequest, name: str, what: str) -> HttpResponse:
        try:
            procedure = PROCEDURES[what](name)
        except LookupError as error:
            raise Http404(str(error)) from error
        begun = ProjectionState.objects.filter(pk=name).exists()
        here = reverse("admin:eventstore_projectionstate_changelist")
        return run(self, request, procedure, back=page_of("eventstore.projectionstate", name) if begun else here)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Read models that are written with the events have no row here: they are compared and mended in place."""
        inline = [model.name for model in all_read_models() if isinstance(model, Inline)]
        return {"tools": [tool for name in inline for tool in _tools(request, name, ("compare", "swap"), name)]}

    def object_context(self, request: HttpRequest, obj: ProjectionState) -> dict[str, Any]:
        offered = ("resume" if obj.paused_by else "pause", "compare", "swap", "undo")
        return {**super().object_context(request, obj), "tools": _tools(request, obj.name, offered)}

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, ProjectionState)
        return [
            ("State", badge(obj.state.capitalize(), TONES.get(obj.state, "plain"))),
            ("Reason", obj.reason or "–"),
            ("Paused by", obj.paused_by or "–"),
            ("Paused (UTC)", when(obj.paused_at)),
            ("Generation", obj.active_generation),
            ("Code version", obj.code_version),
            ("Position", getattr(obj, "position", "–")),
            ("Behind", getattr(obj, "behind", "–")),
            ("Changed (UTC)", when(obj.changed_at)),
            ("Compared with its events", compared(obj.name)),
        ]


def _tools(request: HttpRequest, name: str, offered: tuple[str, ...], of: str = "") -> list[dict[str, str]]:
    """Buttons for what this user may do with a read model."""
    return [
        {
            "label": f"{PROCEDURES[what].button}: {of}" if of else PROCEDURES[what].button,
            "url": reverse(f"admin:eventstore_projection_{what}", args=[name]),
        }
        for what in offered
        if request.user.has_perm(PROCEDURES[what].permission)
    ]
