"""What each read model is doing, and how far it has come."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from eventstore.models import ProjectionState
from ops.admin.keyset import Keyset, text_key
from ops.admin.lists import Column, KeysetAdmin
from ops.html import badge, when

TONES = {"running": "good", "paused": "warn", "failed": "bad"}


@admin.register(ProjectionState)
class ProjectionStateAdmin(KeysetAdmin):
    about = (
        "Read models that follow the feed of events. “Behind” counts positions up to the last one drawn: a large "
        "number that does not fall means that no projector runs (manage.py run_projections)."
    )
    when_empty = "Start the projector: manage.py run_projections."
    keyset = Keyset(("name",), (text_key,), descending=False)
    columns = (
        Column("Projection", lambda state: state.name),
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
