"""Small pieces of HTML that lists and pages share; all of them escape what they are given."""

import json
from datetime import UTC, date, datetime
from html import unescape
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString

NOTHING = "–"


class Html(SafeString):
    """HTML of a cell that knows what it shows: `plain` is the value for files, whole where the page cuts it short."""

    plain: object

    def __new__(cls, html: str, plain: object) -> "Html":
        self = super().__new__(cls, html)
        self.plain = plain
        return self


def plain_of(cell: object) -> object:
    """What a cell shows, for a file: a number or a text without HTML; the dash of nothing is empty."""
    if isinstance(cell, Html):
        return cell.plain
    if isinstance(cell, SafeString):
        return " ".join(unescape(strip_tags(cell)).split())
    return "" if cell is None or cell == NOTHING else cell


def link(url: str, text: object) -> Html:
    return Html(format_html('<a class="b-link" href="{}">{}</a>', url, text), plain_of(text))


def page_of(model_label: str, key: object) -> str:
    """The URL of an object's page; `model_label` is "app.model"."""
    app, model = model_label.split(".")
    return reverse(f"admin:{app}_{model}_change", args=[key])


def short_id(value: UUID | str) -> Html:
    """The end of an id, which tells ids of one time apart; the whole of it on hovering."""
    return Html(format_html('<span class="b-id" title="{}">…{}</span>', value, str(value)[-12:]), str(value))


def when(moment: datetime | None) -> Html | str:
    """A moment in UTC, to the second; the machine-readable form keeps the rest, and so does hovering.

    `bankes/times.js` shows it in the zone of the reader's browser.
    """
    if moment is None:
        return NOTHING
    utc = moment.astimezone(UTC)
    html = format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        utc.isoformat(),
        f"{utc:%Y-%m-%d %H:%M:%S.%f}",
        f"{utc:%Y-%m-%d %H:%M:%S}",
    )
    return Html(html, utc.isoformat())


def at_unix(seconds: float | None) -> Html | str:
    """The same, of a Unix time."""
    return when(datetime.fromtimestamp(seconds, UTC) if seconds else None)


def day(value: date) -> Html:
    return Html(format_html('<time datetime="{0}">{0}</time>', value.isoformat()), value.isoformat())


def badge(text: object, tone: str = "plain") -> Html:
    """`tone` is plain, good, warn or bad. The text says it all: colour is never the only sign."""
    return Html(format_html('<span class="b-badge b-badge-{}">{}</span>', tone, text), plain_of(text))


def verbatim(text: str) -> SafeString | str:
    """Text as it is, such as a traceback."""
    return format_html('<pre class="b-json" tabindex="0">{}</pre>', text) if text else NOTHING


def folded(summary: str, text: str) -> SafeString | str:
    """Text as it is, shown when `summary` is pressed."""
    return format_html("<details><summary>{}</summary>{}</details>", summary, verbatim(text)) if text else NOTHING


def pretty(value: Any) -> SafeString:
    """JSON for people, with the keys in the order in which they are stored."""
    return format_html(
        '<pre class="b-json" tabindex="0"><code>{}</code></pre>', json.dumps(value, indent=2, ensure_ascii=False)
    )
