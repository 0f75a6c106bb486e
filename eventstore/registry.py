"""What the upper floors hand down: kinds of aggregate, their event types, upcasters and folds.

Registered in `AppConfig.ready()`, checked there: a hole in a chain of upcasters stops the start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from eventstore.errors import UnknownEventType

Data = dict[str, Any]
Upcaster = Callable[[Data], Data]


@dataclass(frozen=True, slots=True)
class EventType:
    """How stored data of one type becomes an event.

    `upcasters[n]` turns data of schema version n into n + 1; all of 1 .. schema_version - 1 must be there.
    """

    decode: Callable[[Data], Any]
    schema_version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AggregateType:
    """A kind of stream. `state_schema` names the shape of the dumped state: snapshots of another are not used.

    `evolve(state or None, aggregate_id, event) -> state` folds; `dump` and `load` turn a state into JSON-ready
    data and back.
    """

    name: str
    events: Mapping[str, EventType]
    state_schema: int
    evolve: Callable[[Any, UUID, Any], Any]
    dump: Callable[[Any], Data]
    load: Callable[[Data], Any]


class RegistryError(Exception):
    """The code contradicts itself: told at start, never at run time."""


_aggregates: dict[str, AggregateType] = {}


def register(aggregate: AggregateType) -> None:
    """Makes a kind of aggregate known.

    Raises:
        RegistryError: the name is taken, or a chain of upcasters has a hole.
    """
    if _aggregates.get(aggregate.name, aggregate) is not aggregate:
        raise RegistryError(f"aggregate type {aggregate.name!r} is registered twice")
    for name, event_type in aggregate.events.items():
        wanted = set(range(1, event_type.schema_version))
        if set(event_type.upcasters) != wanted:
            raise RegistryError(
                f"{aggregate.name}.{name} is at schema version {event_type.schema_version} and needs upcasters "
                f"from {sorted(wanted) or 'none'}; it has {sorted(event_type.upcasters) or 'none'}"
            )
    _aggregates[aggregate.name] = aggregate


def aggregate_type(name: str) -> AggregateType:
    """
    Raises:
        UnknownEventType: nothing of that name was registered.
    """
    try:
        return _aggregates[name]
    except KeyError:
        raise UnknownEventType(f"there is no aggregate type {name!r} in this code") from None


def known_event_types() -> frozenset[str]:
    """Names of all registered event types."""
    return frozenset(name for aggregate in _aggregates.values() for name in aggregate.events)


def schema_versions() -> dict[str, int]:
    """Today's schema version of each event type."""
    return {
        name: kind.schema_version for aggregate in _aggregates.values() for name, kind in aggregate.events.items()
    }


def state_schemas() -> dict[str, int]:
    """Today's state schema of each kind of aggregate."""
    return {name: aggregate.state_schema for name, aggregate in _aggregates.items()}


def decode(aggregate_name: str, event_type: str, schema_version: int, data: Data) -> Any:
    """Stored data as today's event: upcast step by step, then decoded. The stored row is not touched.

    Raises:
        UnknownEventType: the type, or its schema version, is newer than this code.
    """
    known = aggregate_type(aggregate_name).events.get(event_type)
    if known is None or not 1 <= schema_version <= known.schema_version:
        raise UnknownEventType(
            f"{aggregate_name} event {event_type!r} with schema version {schema_version} is not known to this code"
        )
    for version in range(schema_version, known.schema_version):
        data = known.upcasters[version](data)
    return known.decode(data)
