"""Sending the admin's forms as a browser does: what the page held, with some fields filled in."""

import html
import re
from typing import Any

from django.forms import ChoiceField
from django.http import HttpResponse
from django.test import Client


def form_of(client: Client, url: str) -> dict[str, str]:
    """The fields of the page's form as they come, hidden ones included.

    Raises:
        AssertionError: there is no such page for this client.
    """
    answer = client.get(url)
    assert answer.status_code == 200, f"{url} answers {answer.status_code}"
    form = answer.context["form"]
    values = {field.html_name: field.value() for field in form}
    for field in form:
        if isinstance(field.field, ChoiceField) and values[field.html_name] is None:
            values[field.html_name] = field.field.choices[0][0]  # a browser sends a list's first entry
    return {name: str(value) for name, value in values.items() if value is not None}


def send(client: Client, url: str, **fields: str) -> HttpResponse:
    """Opens the form, fills it in and sends it, and confirms what is shown before it is done, where it is; the answer
    is not followed."""
    answer: Any = client.post(url, {**form_of(client, url), "reason": "a test", **fields})
    return client.post(url, shown(answer)) if confirms(answer) else answer


def confirms(answer: Any) -> bool:
    """Whether the page shows what would be done, and asks for a confirmation."""
    return b'name="confirmed"' in answer.content


def shown(answer: Any) -> dict[str, str]:
    """What a page's form of hidden fields holds, as a browser sends it by its first button."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.content.decode())
    return {name: html.unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def errors(answer: Any) -> dict[str, list[str]]:
    """What the form that came back complains of, by field; "__all__" for the form as a whole."""
    return {name: list(messages) for name, messages in answer.context["form"].errors.items()}


def messages(answer: Any) -> list[str]:
    """What is told at the top of the page that follows."""
    return [str(message) for message in answer.wsgi_request._messages]
