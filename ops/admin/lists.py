"""Lists of tables of any size: columns, a form of filters that an index serves, keyset pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from ops.access.permissions import EXPORT_LISTS
from ops.admin.exports import export_view
from ops.admin.keyset import BY_NUMBER, BadCursor, Keyset, read_page, size_of
from ops.admin.readonly import ReadOnlyAdmin
from ops.admin.selection import SelectionTool, check_box
from ops.admin.titles import title_of
from ops.audit import viewings


@dataclass(frozen=True, slots=True)
class Column:
    """`cell` makes a cell of a row; numbers stand to the right."""

    title: str
    cell: Callable[[Any], object]
    numeric: bool = False


PICK = Column("Select", check_box)


class Filters(forms.Form):
    """What a list may be narrowed by, from the query string. Each filter is one that an index serves."""

    notice = ""
    """What the reader has to know of what was found, such as how far it was searched; set by `narrow`."""

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        """The rows that fit, with the order in which an index holds them. Called with valid `cleaned_data`."""
        return queryset, keyset

    def given(self) -> dict[str, str]:
        """The filters in use, as they came."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}


def text_filter(label: str, *, help_text: str = "", placeholder: str = "", **kwargs: Any) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder})
    return forms.CharField(label=label, required=False, help_text=help_text, widget=widget, **kwargs)


def id_filter(label: str) -> forms.UUIDField:
    return forms.UUIDField(
        label=label,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "id"}),
        error_messages={"invalid": "Write the whole id, such as 0190a1b2-…"},
    )


def time_filter(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"],
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        error_messages={"invalid": "Write a day and time, such as 2026-01-31 14:30 (UTC)."},
    )


def choice_filter(label: str, choices: Sequence[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label, required=False, choices=[("", "All"), *choices], widget=UnfoldAdminSelectWidget
    )


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only list in keyset pages. Only the filters of its form narrow it: other parameters are ignored."""

    columns: ClassVar[tuple[Column, ...]] = ()
    filters: ClassVar[type[Filters]] = Filters
    keyset: ClassVar[Keyset] = BY_NUMBER
    deferred: ClassVar[tuple[str, ...]] = ()
    """Wide columns that the list does not show: they are not read."""
    jump_label: ClassVar[str] = ""
    """Name of the key, where the list offers to jump to one ("position")."""
    list_title: ClassVar[str] = ""
    """See `title_of`."""
    about: ClassVar[str] = ""
    """One sentence on what the rows are."""
    when_empty: ClassVar[str] = "There is nothing here yet."
    list_template: ClassVar[str] = "ops/keyset_list.html"
    page_size: ClassVar[int] = 50
    export_also: ClassVar[tuple[Column, ...]] = ()
    """Columns that only the exported file has, such as the currency of amounts."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_view), name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        return export_view(self, request)

    def list_url(self, filters: dict[str, str]) -> str:
        return _with(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"), filters)

    def found(self, request: HttpRequest, data: Mapping[str, Any]) -> tuple[Filters, QuerySet[Any], Keyset]:
        """The rows that the filters in `data` leave, with their order; none where a filter is wrong."""
        form = self.filters(data)
        queryset = self.get_queryset(request).defer(*self.deferred)
        if not form.is_valid():
            return form, queryset.none(), self.keyset
        return (form, *form.narrow(queryset, self.keyset))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if (refused := self.require_view(request)) is not None:
            return refused
        form, queryset, keyset = self.found(request, request.GET)
        first = _url(request, form.given())
        try:
            page = read_page(queryset, keyset, request.GET.dict(), self.page_size)
        except BadCursor:
            return HttpResponseRedirect(first)
        if not page.rows and not page.is_first:
            return HttpResponseRedirect(first)
        viewings.note(request, what=self.opts.label_lower, filters=form.given(), rows=len(page.rows))
        selection = self.selection(request)
        columns = (*self.columns, PICK) if selection else self.columns
        context = {
            "title": title_of(self),
            "admin": self,
            "form": form,
            "is_narrowed": bool(form.given()),
            "headings": columns,
            "rows": [[(column, column.cell(row)) for column in columns] for row in page.rows],
            "selection": selection,
            "page": page,
            "first_url": first,
            "newer_url": page.newer and _url(request, form.given(), page.newer),
            "older_url": page.older and _url(request, form.given(), page.older),
            "last_url": _url(request, form.given(), {"end": "1"}),
            "can_jump": bool(self.jump_label) and keyset is self.keyset,
            "export_url": self._export_url(request, form),
            "size": "" if form.given() or not page.rows else size_of(self.model),
        }
        return self.render(request, self.list_template, {**context, **self.list_context(request)})

    def _export_url(self, request: HttpRequest, form: Filters) -> str:
        """Empty for who may not, and where there is nothing to export."""
        if form.errors or not request.user.has_perm(EXPORT_LISTS):
            return ""
        return _with(f"{request.path}export/", form.given())

    def selection(self, request: HttpRequest) -> list[SelectionTool]:
        """What this user may do with rows that are selected in the list."""
        return []

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """What a subclass adds to the list's page, such as `tools`: (label, URL) of buttons above it, and
        `when_none_fits`: what to say where the filters leave nothing."""
        return {}


def _url(request: HttpRequest, filters: dict[str, str], cursor: Any = ()) -> str:
    return _with(request.path, {**filters, **dict(cursor)})


def _with(path: str, parameters: dict[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path
