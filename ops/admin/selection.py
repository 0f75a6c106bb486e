"""Working on rows that were selected in a list, or on all there are: check boxes, and buttons that lead to a dialog.

The dialog's URL names the rows (`on=…`, or `on=all`); what is then done is what the dialog's signed note says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

ALL = "all"
FIELD = "on"
FORM = "selection"
MOST = 200
"""Rows of one selection."""
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class SelectionTool:
    """A button below the list, and a link that takes everything."""

    label: str
    url: str
    everything: str


def check_box(row: Any) -> SafeString:
    return format_html(
        '<input type="checkbox" class="b-pick" name="{}" value="{}" form="{}" aria-label="Select {}">',
        FIELD,
        row.pk,
        FORM,
        row,
    )


def selected(request: HttpRequest, parse: Callable[[str], Key]) -> list[Key] | str | None:
    """The rows that the URL names, `ALL`, or None where it names none, too many, or something else."""
    named = request.GET.getlist(FIELD)
    if named == [ALL]:
        return ALL
    try:
        keys = list(dict.fromkeys(parse(text) for text in named))
    except (ValueError, OverflowError):
        return None
    return keys if 0 < len(keys) <= MOST else None
