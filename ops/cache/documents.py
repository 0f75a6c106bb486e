"""What a cache holds: documents with versions, and their form in Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

T = TypeVar("T")


class Unreadable(Exception):
    """What Redis holds is not a document of this code: damaged, of another key, or of another schema."""


@dataclass(frozen=True, slots=True)
class Document(Generic[T]):
    """A thing as it was at one version (1 and up). Never altered: another state is another version.

    `stamp` is whatever else the source knows this very state by, so that a repair at the same version is noticed; a
    document that came from Redis has none, and so never passes for the source's own.
    """

    version: int
    value: T
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How values become JSON-ready data and back.

    `schema` names their shape, and changes with it. `load` raises ValueError, TypeError or KeyError for data that it
    does not accept.
    """

    schema: str
    dump: Callable[[T], Any]
    load: Callable[[Any], T]

    def encode(self, key: str, document: Document[T]) -> bytes:
        return orjson.dumps(
            {"schema": self.schema, "key": key, "version": document.version, "value": self.dump(document.value)}
        )

    def decode(self, key: str, version: int, raw: bytes) -> Document[T]:
        """
        Raises:
            Unreadable: `raw` is not the document that `encode` wrote for this key, version and schema.
        """
        try:
            held = orjson.loads(raw)
            if (held["schema"], held["key"], held["version"]) != (self.schema, key, version):
                raise Unreadable(f"{key} v{version}: another document or schema")
            return Document(version, self.load(held["value"]))
        except (ValueError, TypeError, KeyError) as error:
            raise Unreadable(f"{key} v{version}: {error!r}") from error
