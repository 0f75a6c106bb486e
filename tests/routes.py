"""Every address that the bank answers, from the URL resolver itself: a new page is in every test that walks."""

import re
from collections.abc import Iterator, Mapping

from django.urls import URLPattern, URLResolver, get_resolver

SAMPLES = {"int": "1", "uuid": "00000000-0000-7000-8000-000000000001", "slug": "x", "str": "x", "path": "1"}


def routes(prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, name) of each route below `prefix`, with `<converter:name>` still in it."""
    for path, pattern in _walk(get_resolver(), ""):
        if path.startswith(prefix):
            yield path, pattern.name or ""


def filled(path: str, values: Mapping[str, str] | None = None) -> str:
    """The route with its parameters filled in: by name from `values`, else with a sample of the right kind."""
    given = values or {}
    return "/" + re.sub(r"<(?:(\w+):)?(\w+)>", lambda match: given.get(match[2], SAMPLES[match[1] or "str"]), path)


def _walk(resolver: URLResolver, base: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = base + _plain(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from _walk(entry, path)
        else:
            yield path, entry


def _plain(pattern: str) -> str:
    """A regular expression as a path: its named groups are parameters."""
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", pattern)
    return re.sub(r"\\Z|[\^$?]|\(\?:|\(|\)", "", text) if "^" in pattern or "(?P" in pattern else text
