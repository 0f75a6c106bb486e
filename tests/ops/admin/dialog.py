"""A person at the dialog of an emergency procedure."""

import html
import re
from typing import Any

from django.test import Client


def page_text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def preview(browser: Client, url: str, **fields: object) -> tuple[str, str]:
    """The preview's text, and the note that its confirmation sends; "" where there is nothing to confirm."""
    answer = browser.post(url, {"reason": "the feed stood still", **fields})
    assert answer.status_code == 200
    text = page_text(answer)
    found = re.search(r'name="confirmed" value="([^"]+)"', text)
    return text, found.group(1) if found else ""


def confirm(browser: Client, url: str, note: str) -> Any:
    return browser.post(url, {"confirmed": note})
