"""Lists of Django's own kind (staff, roles, API clients) as CSV files, with the limit, permission and audit of all
others: see `exports`."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from ops.access.permissions import EXPORT_LISTS
from ops.admin.audited import AuditedAdmin
from ops.admin.exports import export_view
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters
from ops.admin.pages import PagesAdmin

NO_FILTERS = {"csrfmiddlewaretoken", "p", "o", "all", "e"}
"""Parameters of a list that are about pages and order."""


class AsGiven(Filters):
    """The filters of Django's list, as they stand in its address."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        names = [name for name in data if name not in NO_FILTERS and data[name]]
        self.fields = {name: forms.CharField(label=name.split("__")[0].replace("_", " ")) for name in names}


class ExportedAdmin(AuditedAdmin, PagesAdmin):
    """Beside Django's list, a link to its file. `export_columns` are what the file holds."""

    export_columns: ClassVar[tuple[Column, ...]]
    export_also: ClassVar[tuple[Column, ...]] = ()
    list_after_template = "ops/export_link.html"

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.export_columns

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_view), name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        return export_view(self, request)

    def export_rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What the columns need, brought at once."""
        return queryset

    def found(self, request: HttpRequest, data: Mapping[str, Any]) -> tuple[Filters, QuerySet[Any], Keyset]:
        form = AsGiven(data)
        looked = copy(request)
        looked.GET = QueryDict(urlencode(form.given()))
        try:
            queryset = self.get_changelist_instance(looked).get_queryset(looked)
        except (IncorrectLookupParameters, SuspiciousOperation):
            form.add_error(None, "The list has no such filter.")
            return form, self.get_queryset(request).none(), BY_NUMBER
        return form, self.export_rows(queryset.order_by()), BY_NUMBER

    def list_url(self, filters: dict[str, str]) -> str:
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return f"{url}?{urlencode(filters)}" if filters else url

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        given = AsGiven(request.GET).given()
        url = f"{request.path}export/{f'?{urlencode(given)}' if given else ''}"
        may = request.user.has_perm(EXPORT_LISTS)
        return super().changelist_view(request, {**(extra_context or {}), "export_url": url if may else ""})
