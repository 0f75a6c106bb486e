"""Where the pages of the upper floors are: they register them, since this floor does not know them."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from ops.html import link, page_of, short_id


@dataclass(frozen=True, slots=True)
class Pages:
    """Makers of URLs: of an aggregate's own page, and of the page of a command (a transaction)."""

    aggregate: Callable[[UUID], str]
    command: Callable[[UUID], str]


_pages: dict[str, Pages] = {}


def register_pages(aggregate_type: str, pages: Pages) -> None:
    _pages[aggregate_type] = pages


def aggregate_link(aggregate_type: str, aggregate_id: UUID) -> object:
    """To the aggregate's own page, or to its stream where it has none."""
    pages = _pages.get(aggregate_type)
    url = pages.aggregate(aggregate_id) if pages else page_of("eventstore.stream", aggregate_id)
    return link(url, short_id(aggregate_id))


def command_link(aggregate_type: str, command_id: UUID) -> object:
    """To the page of the command, where there is one."""
    pages = _pages.get(aggregate_type)
    return link(pages.command(command_id), short_id(command_id)) if pages else short_id(command_id)
