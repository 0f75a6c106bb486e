"""Imports of clients and of the bank: how far they are, what was refused, and stopping them."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join

from accounts.models import Import
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, text_filter
from ops.admin.managed import ManagedAdmin, NotDone
from ops.audit.record import staff_actor
from ops.html import badge, link, page_of, when

CLIENT = "client:"
REFUSALS_SHOWN = 100


class ImportFilters(Filters):
    scope = text_filter("Client", placeholder="acme", help_text="Or a whole scope: system:bank.", max_length=100)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        scope = self.cleaned_data["scope"].strip()
        if not scope:
            return queryset, keyset
        return queryset.filter(scope=scope if ":" in scope else f"{CLIENT}{scope}"), keyset


def state_badge(row: Import) -> object:
    if row.finished_at:
        return badge("Finished", "good")
    return badge("Stopped", "bad") if row.stopped_by else badge("Not finished", "warn")


@admin.register(Import)
class ImportAdmin(ManagedAdmin):
    keyset = BY_NUMBER
    manage_permission = "accounts.manage_import"
    about = "Files of commands that were sent line by line, newest first, and how far each was taken."
    when_empty = "Nothing was imported yet (POST /api/v1/imports, or manage.py import_commands)."
    filters = ImportFilters
    deferred = ("digest",)
    columns = (
        Column("Key", lambda row: link(page_of("accounts.import", row.pk), row.key)),
        Column("Of", lambda row: row.scope),
        Column("State", state_badge),
        Column("Lines taken", lambda row: row.position, numeric=True),
        Column("Executed", lambda row: row.executed, numeric=True),
        Column("Refused", lambda row: row.refused, numeric=True),
        Column("Begun (UTC)", lambda row: when(row.started_at)),
        Column("Went on (UTC)", lambda row: when(row.updated_at)),
    )

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:import_id>/stop/", view(self.stop_view), name="accounts_import_stop"),
            path("<int:import_id>/allow/", view(self.allow_view), name="accounts_import_allow"),
        ]

    def tools(self, request: HttpRequest, obj: Import) -> list[dict[str, str]]:
        if obj.finished_at:
            return []
        name, label = ("allow", "Let it go on") if obj.stopped_by else ("stop", "Stop")
        return [{"label": label, "url": reverse(f"admin:accounts_import_{name}", args=[obj.pk])}]

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Import)
        return [
            ("Of", obj.scope),
            ("State", state_badge(obj)),
            ("Stopped by", obj.stopped_by or "–"),
            ("Lines taken", obj.position),
            ("Executed", obj.executed),
            ("Refused", obj.refused),
            ("Begun (UTC)", when(obj.started_at)),
            ("Went on (UTC)", when(obj.updated_at)),
            ("Finished (UTC)", when(obj.finished_at)),
            ("Digest of the lines taken", bytes(obj.digest).hex()),
            *([(f"First {REFUSALS_SHOWN} refused lines", _refusals(obj))] if obj.refused else []),
        ]

    def stop_view(self, request: HttpRequest, import_id: int) -> HttpResponse:
        def do(reason: str) -> str:
            if not _unfinished(import_id).filter(stopped_by="").update(stopped_by=staff_actor(request.user)):
                raise NotDone("It was finished or stopped before: nothing was done.")
            return "It stops after the chunk in hand, and does not go on until it is let."

        return self.act(
            request,
            self.get_queryset(request).filter(pk=import_id).first(),
            action="stop_import",
            button="Stop",
            about="No line is executed after those in hand, whoever sends it, until it is let go on.",
            do=do,
        )

    def allow_view(self, request: HttpRequest, import_id: int) -> HttpResponse:
        def do(reason: str) -> str:
            if not _unfinished(import_id).exclude(stopped_by="").update(stopped_by=""):
                raise NotDone("It was not stopped: nothing was done.")
            return "Whoever sends it may go on."

        return self.act(
            request,
            self.get_queryset(request).filter(pk=import_id).first(),
            action="allow_import",
            button="Let it go on",
            about="Whoever sends it may go on where it stopped.",
            do=do,
        )


def _unfinished(import_id: int) -> QuerySet[Import]:
    return Import.objects.filter(pk=import_id, finished_at=None)


def _refusals(row: Import) -> object:
    rows = row.refusals.order_by("line")[:REFUSALS_SHOWN]
    return format_html_join(
        "\n", "<div>line {}: {}. {}</div>", ((each.line, each.code, each.message) for each in rows)
    )
