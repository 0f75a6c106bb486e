"""JSON as the API takes it: one object, each name once, no numbers that JSON does not have."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from accounts.api.problems import PayloadTooLarge

MAX_DEPTH = 32
"""How deep arrays and objects may be nested. Nothing of ours goes beyond four."""


class StrictJSONParser(BaseParser):
    """Refuses what lenient readers let pass and then read differently from one another."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Raises:
            ParseError: not UTF-8, not JSON, not an object, a name twice, NaN or Infinity, nested too deep, or it did
                not come whole.
            PayloadTooLarge: more than DATA_UPLOAD_MAX_MEMORY_SIZE bytes.
        """
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        try:
            body = stream.read(most + 1)
            if len(body) > most:
                raise PayloadTooLarge(f"A body holds at most {most} bytes.")
            stream.read(1)  # raises where the body was cut off: what came of it may read like a whole one
        except OSError as error:  # Django's own, around what the web server says
            raise ParseError(f"{error.__cause__ or error} Nothing was done.") from None
        return read_object(body)


class LinesParser(BaseParser):
    """Hands the body over as it comes: whoever takes it reads it line by line."""

    media_type = "application/x-ndjson"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return stream


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        ParseError: see `StrictJSONParser.parse`.
    """
    try:
        value = orjson.loads(body)  # the strict grammar: UTF-8 without lone surrogates, no NaN
        if isinstance(value, dict) and _says_each_name_once(value, body):
            return value
        value = json.loads(body, object_pairs_hook=_each_name_once)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"The body is not valid JSON: {_reason(error)}") from None
    if not isinstance(value, dict):
        raise ParseError("The body must be a JSON object.")
    _require_shallow(value)
    return value


def _says_each_name_once(value: dict[str, Any], body: bytes) -> bool:
    """Whether `body`, which was read as `value`, holds nothing that got lost in reading. False also where this quick
    look cannot tell.

    Where no quote is escaped, each name and each string is two quotes of the body. So whatever stood there twice, and
    was overwritten, is missing from the count.
    """
    if b"\\" in body:
        return False
    strings = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                strings += len(item)
            for each in item.values() if isinstance(item, dict) else item:
                kind: Any = type(each)
                if kind is str:
                    strings += 1
                elif kind is dict or kind is list:
                    inner.append(each)
                elif kind is float:  # may have been a number that is read otherwise elsewhere
                    return False
        if not inner:
            return body.count(b'"') == 2 * strings
        level = inner
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, orjson.JSONDecodeError):
        return f"{error.msg} (line {error.lineno}, column {error.colno})."
    return "it is nested too deep." if isinstance(error, RecursionError) else f"{error}."


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice[:40]!r} is there twice")
    return members


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
