"""Who looked at what in bulk, for auditors to read."""

from typing import Any
from urllib.parse import parse_qsl

from django.contrib import admin
from django.db.models import Model, QuerySet

from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, text_filter
from ops.html import link, page_of, when
from ops.models import Viewing


class ViewingFilters(Filters):
    actor = text_filter("Who", placeholder="staff:alice", max_length=200)
    what = text_filter("Which list", placeholder="accounts.account", max_length=100)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return queryset.filter(**given), keyset


def filters_in_words(viewing: Viewing) -> str:
    return ", ".join(f"{name}: {value}" for name, value in parse_qsl(viewing.filters)) or "none"


@admin.register(Viewing)
class ViewingAdmin(KeysetAdmin):
    about = (
        "Which lists members of staff looked at, with which filters, and how many rows they were shown. The same "
        "list with the same filters is one entry an hour. Entries cannot be altered."
    )
    when_empty = "An entry appears as soon as somebody opens a list."
    filters = ViewingFilters
    keyset = BY_NUMBER
    columns = (
        Column("First (UTC)", lambda viewing: link(page_of("ops.viewing", viewing.pk), when(viewing.first_at))),
        Column("Who", lambda viewing: viewing.actor),
        Column("Which list", lambda viewing: viewing.what),
        Column("Filters", filters_in_words),
        Column("Pages", lambda viewing: viewing.pages, numeric=True),
        Column("Rows", lambda viewing: viewing.rows, numeric=True),
        Column("From", lambda viewing: viewing.address),
    )

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Viewing)
        return [
            ("Who", obj.actor),
            ("Which list", obj.what),
            ("Filters", filters_in_words(obj)),
            ("First (UTC)", when(obj.first_at)),
            ("Last (UTC)", when(obj.last_at)),
            ("Pages", obj.pages),
            ("Rows", obj.rows),
            ("From", obj.address),
        ]
