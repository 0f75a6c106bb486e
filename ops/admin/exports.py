"""Lists as CSV files, within a limit of rows, with a permission of their own, and recorded: who took what in bulk.

The file is UTF-8 with a byte order mark (spreadsheets take it for something else without one), its lines end with
CRLF as RFC 4180 has it, and its moments are in UTC. It is read and sent some hundred rows at a time, by the list's
own keyset: no long transaction, no more memory for a longer file. Rows that come meanwhile may be missing.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone

from ops.access.permissions import EXPORT_LISTS
from ops.admin.audited import require_permission
from ops.admin.keyset import Keyset, read_page
from ops.admin.titles import title_of
from ops.audit.record import record
from ops.conf import get_settings
from ops.html import plain_of

if TYPE_CHECKING:
    from ops.admin.exported import ExportedAdmin
    from ops.admin.lists import Column, KeysetAdmin

log = structlog.get_logger(__name__)

CHUNK = 500
"""Rows that are read and sent at once."""
BYTE_ORDER_MARK = "\ufeff"
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
"""A spreadsheet takes a text that begins with one of these for a formula."""
FORMULA_INSIDE = re.compile(r"""([;\t\r\n]["\s]*)(?=[=+@＝＋－＠-])""")
"""One whose separator is the semicolon, as in many countries, or the tab begins a cell in the middle of a text,
whatever quotes there are around it."""
ACTION, ENDED = "export_list", "export_list_ended"
"""In the audit: an entry before the first row leaves, and one with the number of rows when the last has left or the
reader has gone. Where the second is missing the process died, and as much as the limit may have left."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written: the rows of a list as it is narrowed and ordered, at most `limit` of them."""

    queryset: QuerySet[Any]
    keyset: Keyset
    columns: "Sequence[Column]"
    limit: int

    def rows(self) -> Iterator[tuple[list[Model], bool]]:
        """Some hundred rows at a time, each with whether more would follow."""
        left = self.limit
        parameters: dict[str, str] = {}
        while left:
            page = read_page(self.queryset, self.keyset, parameters, min(CHUNK, left))
            yield page.rows, page.older is not None
            if page.older is None:
                return
            left -= len(page.rows)
            parameters = dict(page.older)

    def size(self) -> int:
        """How many rows there are, counted no further than one past the limit."""
        return self.queryset.order_by()[: self.limit + 1].count()


def export_view(admin: "KeysetAdmin | ExportedAdmin", request: HttpRequest) -> HttpResponseBase:
    """GET: what the file would hold. POST: the file."""
    subject = f"list:{admin.opts.label_lower}"
    require_permission(request, EXPORT_LISTS, ACTION, subject)
    if (refused := admin.require_view(request, also=("POST",))) is not None:
        return refused
    form, queryset, keyset = admin.found(request, request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return HttpResponseRedirect(admin.list_url(form.given()))
    export = Export(queryset, keyset, (*admin.columns, *admin.export_also), get_settings().export_max_rows)
    if request.method != "POST":
        return _preview(admin, request, form, export)
    detail = {"filters": form.given(), "order": keyset.ordering(), "limit": export.limit}
    record(request, action=ACTION, subject=subject, reason="asked for the list as a file", detail=detail)
    response = StreamingHttpResponse(
        _sent(request, subject, export, detail),
        content_type="text/csv; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )
    name = f"{admin.opts.model_name}-{timezone.now():%Y%m%dT%H%M%SZ}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _preview(admin: "KeysetAdmin | ExportedAdmin", request: HttpRequest, form: Any, export: Export) -> HttpResponse:
    size = export.size()
    context = {
        "title": f"Export: {title_of(admin)}",
        "given": form.given(),
        "notice": getattr(form, "notice", ""),
        "labels": [(form.fields[name].label, value) for name, value in form.given().items()],
        "limit": export.limit,
        "size": min(size, export.limit),
        "is_cut": size > export.limit,
        "columns": export.columns,
        "back": admin.list_url(form.given()),
    }
    return admin.render(request, "ops/export.html", context)


def _sent(request: HttpRequest, subject: str, export: Export, detail: dict[str, Any]) -> Iterator[str]:
    rows, is_cut, is_whole = 0, False, False
    try:
        yield BYTE_ORDER_MARK + lines([[column.title for column in export.columns]])
        for found, more in export.rows():
            yield lines([plain_of(column.cell(row)) for column in export.columns] for row in found)
            rows, is_cut = rows + len(found), more
        if is_cut:
            told = f"Cut after {rows} rows (EXPORT_MAX_ROWS): there are more. Narrow the list by its filters."
            yield lines([[told]])
        is_whole = True
    except Exception:  # HTTP shows no difference between the end of a file and the end of a connection
        yield lines([[f"Broken off after {rows} rows: this file is not whole. Export the list again."]])
        raise
    finally:
        told = "sent the list as a file" if is_whole else "sent a part of the list: the reader left, or it failed"
        ended = {**detail, "rows": rows, "cut": is_cut and is_whole, "whole": is_whole}
        log.info("list_exported", subject=subject, rows=rows, whole=is_whole)
        record(request, action=ENDED, subject=subject, reason=told, detail=ended)


def lines(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([defused(value) for value in row] for row in rows)
    return text.getvalue()


def defused(value: object) -> object:
    """Numbers stay numbers; what a spreadsheet would run as a formula, in whatever way it splits the line into cells,
    gets an apostrophe before it."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value
    text = FORMULA_INSIDE.sub(r"\1'", str(value))
    return f"'{text}" if {text[:1], text.lstrip()[:1]} & FORMULA_STARTS else text
