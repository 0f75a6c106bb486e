"""What the monitor found, and what was done about it by force: for reading."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet

from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter
from ops.detectors.monitor import KINDS
from ops.html import badge, link, page_of, pretty, when
from ops.instants import in_iso
from ops.models import Incident, Resolution

TONES = {"done": "good", "gone": "plain", "refused": "bad"}


def told_kind(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


class IncidentFilters(Filters):
    state = choice_filter("State", [("open", "Open"), ("ended", "Ended")])
    kind = choice_filter("Kind", [(kind, told_kind(kind)) for kind in sorted(KINDS)])

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        state = self.cleaned_data["state"]
        if state:
            queryset = queryset.filter(ended_at__isnull=state == "open")
        kind = self.cleaned_data["kind"]
        return (queryset.filter(kind=kind) if kind else queryset), keyset


def state_badge(incident: Incident) -> object:
    return badge("Ended", "good") if incident.ended_at else badge("Open", "bad")


def lasted(incident: Incident) -> str:
    return f"{((incident.ended_at or incident.last_seen_at) - incident.began_at).total_seconds():.0f} s"


@admin.register(Incident)
class IncidentAdmin(KeysetAdmin):
    about = "What went wrong while the bank ran, as its monitor saw it, newest first."
    when_empty = "The monitor has found nothing so far. (That it runs is told by /health/monitor.)"
    keyset = BY_NUMBER
    filters = IncidentFilters
    deferred = ("detail",)
    columns = (
        Column("Began (UTC)", lambda row: link(page_of("ops.incident", row.pk), when(row.began_at))),
        Column("State", state_badge),
        Column("Kind", lambda row: told_kind(row.kind)),
        Column("What", lambda row: row.reason),
        Column("Lasted", lasted, numeric=True),
        Column("Done about it", lambda row: row.resolution or "–"),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Incident)
        return [
            ("State", state_badge(obj)),
            ("Kind", obj.kind),
            ("What", obj.reason),
            ("Subject", obj.subject),
            ("Began (UTC)", when(obj.began_at)),
            ("Seen last (UTC)", when(obj.last_seen_at)),
            ("Ended (UTC)", when(obj.ended_at)),
            ("Done about it", obj.resolution or "–"),
            ("Detail", pretty(in_iso(obj.detail))),
        ]


def outcome_badge(row: Resolution) -> object:
    return badge(row.get_outcome_display(), TONES.get(row.outcome, "plain"))


@admin.register(Resolution)
class ResolutionAdmin(KeysetAdmin):
    about = (
        "What was done by force, by the monitor or by a person, newest first: statements cancelled, sessions ended, "
        "pools reset. Entries cannot be altered."
    )
    when_empty = "Nothing had to be done by force so far."
    keyset = BY_NUMBER
    deferred = ("detail",)
    columns = (
        Column("When (UTC)", lambda row: link(page_of("ops.resolution", row.pk), when(row.at))),
        Column("What", lambda row: row.get_action_display()),
        Column("Outcome", outcome_badge),
        Column("Session", lambda row: row.pid or "–", numeric=True),
        Column("Who", lambda row: row.actor),
        Column("Why", lambda row: row.reason),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Resolution)
        return [
            ("When (UTC)", when(obj.at)),
            ("What", obj.get_action_display()),
            ("Outcome", outcome_badge(obj)),
            ("Who", obj.actor),
            ("Why", obj.reason),
            ("Session", obj.pid or "–"),
            ("Session began (UTC)", when(obj.backend_start)),
            ("Operation", obj.operation or "–"),
            ("Detail", pretty(obj.detail)),
        ]
