"""Which caches there are, for the page that shows them. Upper floors register theirs in `AppConfig.ready()`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.cache.documents import Document
from ops.cache.tiered import TieredCache


@dataclass(frozen=True, slots=True)
class Browsable:
    """A cache that people may look into.

    `source` reads many documents as they are now, from the one place that decides; `most_used` gives keys and how
    often each was used; `parse` makes a key of what somebody has typed, and raises ValueError for what is none;
    `page` is the model of the objects that the documents are of, and who may view those sees what they hold;
    `warming` is the job that fills it, of {"limit": n}.
    """

    name: str
    key_label: str
    cache: Callable[[], TieredCache[Any]]
    source: Callable[[Sequence[str]], Mapping[str, Document[Any]]]
    most_used: Callable[[int], list[tuple[str, float]]]
    parse: Callable[[str], str]
    shown: Callable[[Any], Mapping[str, object]]
    page: str
    warming: str

    @property
    def view_permission(self) -> str:
        app, model = self.page.split(".")
        return f"{app}.view_{model}"


_browsable: dict[str, Browsable] = {}


def register_browsable(cache: Browsable) -> None:
    """
    Raises:
        ValueError: the name is taken.
    """
    if cache.name in _browsable:
        raise ValueError(f"cache {cache.name!r} is registered twice")
    _browsable[cache.name] = cache


def browsable(name: str) -> Browsable:
    """
    Raises:
        LookupError: there is no such cache.
    """
    return _browsable[name]


def names() -> list[str]:
    return sorted(_browsable)
