"""Small pieces of HTML that lists and pages share; all of them escape what they are given."""

import json
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING = "–"


def link(url: str, text: object) -> SafeString:
    return format_html('<a class="b-link" href="{}">{}</a>', url, text)


def page_of(model_label: str, key: object) -> str:
    """The URL of an object's page; `model_label` is "app.model"."""
    app, model = model_label.split(".")
    return reverse(f"admin:{app}_{model}_change", args=[key])


def short_id(value: UUID | str) -> SafeString:
    """The end of an id, which tells ids of one time apart; the whole of it on hovering."""
    return format_html('<span class="b-id" title="{}">…{}</span>', value, str(value)[-12:])


def when(moment: datetime | None) -> SafeString | str:
    """A moment in UTC, to the second; the machine-readable form keeps the rest."""
    if moment is None:
        return NOTHING
    utc = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', utc.isoformat(), utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}"
    )


def day(value: date) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), value.isoformat())


def badge(text: object, tone: str = "plain") -> SafeString:
    """`tone` is plain, good, warn or bad. The text says it all: colour is never the only sign."""
    return format_html('<span class="b-badge b-badge-{}">{}</span>', tone, text)


def verbatim(text: str) -> SafeString | str:
    """Text as it is, such as a traceback."""
    return format_html('<pre class="b-json" tabindex="0">{}</pre>', text) if text else NOTHING


def pretty(value: Any) -> SafeString:
    """JSON for people, with the keys in the order in which they are stored."""
    return format_html(
        '<pre class="b-json" tabindex="0"><code>{}</code></pre>', json.dumps(value, indent=2, ensure_ascii=False)
    )
