"""What a projection is, and which there are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from eventstore.errors import UnknownEventType
from eventstore.events import StoredEvent

Batch = TypeVar("Batch")
Progress = Callable[[int, int], None]
"""Told (done, of how many) while long work goes on."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild did, or would do: `events` applied, `rows` made, and how many of them were wrong before.
    `left_out`: in words, what the tables before lacked as dead letters, which is among the wrong rows."""

    events: int
    rows: int
    repaired: int
    swapped: bool = True
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that follow from the events of one stream from a version on: those of `table` that meet `where`.

    `from_version` is where replaying has to begin to make all of them anew (at or before what was asked for).
    """

    table: str
    where: str
    params: tuple[Any, ...]
    from_version: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows of `table` that no event accounts for: those that meet `where`, in which the table is `t`. `key` is one
    column, by an index on which the table can be gone through some rows at a time."""

    table: str
    key: str
    where: str


class Inline(ABC):
    """A read model that is written with the events, and mended in place."""

    name: str
    tables: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def rebuild(self, progress: Progress, *, dry_run: bool = False) -> Report: ...

    @abstractmethod
    def replay(self, aggregate_id: UUID, *, dry_run: bool) -> int:
        """Mends what follows from one stream; returns how many rows were wrong."""

    def orphans(self) -> Sequence[Orphans]:
        """How rows are told that no event accounts for."""
        return ()


class Projection(ABC, Generic[Batch]):
    """A read model that follows the feed.

    Events of a batch are gathered one by one into a `Batch` of the projection's own and then written set by set.
    Every event type must be in `handles` or `ignores`: one in neither stops the projection, and is never skipped.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]]
    surrogates: ClassVar[tuple[str, ...]] = ()
    """Columns that a database chose, such as serial keys: they mean nothing and are not compared."""
    matched_by: ClassVar[Sequence[str]] = ()
    """The key of its tables, where it depends on batches and pruning which rows there are: of two fillings only those
    rows are compared that both have. Empty: a row that one lacks is wrong."""
    has_side_effects: ClassVar[bool] = False
    """Its rows lead to something outside of the bank, such as a message. So it begins at the end of the feed, not at
    its beginning, and is never rebuilt, replayed or wound back: that would do it all again."""
    set_based: ClassVar[str] = ""
    """What `gather` and `write` do, as one statement, where there is one: many times as fast. It reads the events
    that it handles from a relation `{fresh}` with the columns of `events`, all of today's schema versions. A test
    must hold the two equal: this is a second way of saying the same."""
    handles: ClassVar[frozenset[str]]
    ignores: ClassVar[frozenset[str]]

    def is_idle(self) -> bool:
        """Whether no event at all could lead to a row now, so that events need not even be read."""
        return False

    @abstractmethod
    def new_batch(self) -> Batch: ...

    @abstractmethod
    def gather(self, stored: StoredEvent, batch: Batch) -> None:
        """Takes one event of a handled type, in feed order."""

    @abstractmethod
    def write(self, batch: Batch, cursor: Any) -> None:
        """Writes what was gathered, inside the runner's transaction."""

    def apply(self, events: Iterable[StoredEvent], cursor: Any) -> None:
        """Applies events in order.

        Raises:
            UnknownEventType: a type that the projection was not told of.
        """
        batch = self.new_batch()
        for stored in events:
            if stored.event_type in self.handles:
                self.gather(stored, batch)
            elif stored.event_type not in self.ignores:
                raise UnknownEventType(
                    f"projection {self.name} does not know event type {stored.event_type!r} "
                    f"(position {stored.position}, stream {stored.aggregate_id})"
                )
        self.write(batch, cursor)

    def slice_of(self, aggregate_id: UUID, from_version: int) -> Slice | None:
        """What replaying a stream replaces; None for a projection that can only be rebuilt as a whole."""
        return None

    def beyond(self, position: int) -> Mapping[str, str]:
        """For each table, the condition of the rows that follow from events after a position; empty where there is
        none, and the projection cannot be wound back."""
        return {}

    def orphans(self) -> Sequence[Orphans]:
        """How rows are told that no event accounts for."""
        return ()


def unfinished(read_model: Projection[Any] | Inline, *, dry_run: bool) -> str:
    """What a rebuild that ended with an error has left behind, for people."""
    if isinstance(read_model, Inline) and not dry_run:
        return f"It was not finished: rows of {read_model.name} that were mended stay so, and it can be begun anew"
    return "Nothing was changed"


_registered: dict[str, Projection[Any] | Inline] = {}


def register(projection: Projection[Any] | Inline) -> None:
    """Makes a read model known, from `AppConfig.ready()` of the floor that it belongs to."""
    _registered[projection.name] = projection


def all_read_models() -> list["Projection[Any] | Inline"]:
    """Every read model, by name."""
    return [item for _, item in sorted(_registered.items())]


def registered() -> list[Projection[Any]]:
    """The projections that follow the feed, by name."""
    return [item for _, item in sorted(_registered.items()) if isinstance(item, Projection)]


def get(name: str) -> Projection[Any] | Inline:
    """
    Raises:
        LookupError: no read model of that name; the message lists those there are.
    """
    try:
        return _registered[name]
    except KeyError:
        raise LookupError(f"there is no read model {name!r}; there are: {', '.join(sorted(_registered))}") from None
