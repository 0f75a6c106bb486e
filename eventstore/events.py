"""Events on their way in and out of the store."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any, Self
from uuid import UUID

import orjson
from msgspec import Struct
from msgspec.structs import asdict
from uuid_utils.compat import uuid7

from eventstore import registry
from eventstore.hashing import canonical_json, chain_hash

new_id = uuid7
"""A fresh id that sorts by the time of its making: indexes on it grow at one end."""


class Context(Struct, frozen=True):
    """Who did it, why, and what caused it: stored with every event of a command.

    `actor` is "kind:name" ("staff:alice", "client:acme", "system:demo"); `source` is the way in ("api", "admin",
    "command"); `causation_id` names the event or command that led to this one, or the approval; `approved_by` is the
    second person, where it took one.
    """

    actor: str
    source: str
    reason: str = ""
    request_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    address: str = ""
    approved_by: str = ""

    def metadata(self) -> dict[str, str]:
        """As stored: what is empty is left out."""
        return {name: value for name, value in asdict(self).items() if value}


class NewEvent(Struct, frozen=True):
    """A decided event: `data` is JSON-ready and holds no floats."""

    aggregate_id: UUID
    event_type: str
    data: dict[str, Any]
    schema_version: int = 1


@dataclass(frozen=True)
class StoredEvent:
    """A row of the books."""

    position: int
    aggregate_id: UUID
    aggregate_type: str
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    command_id: UUID
    data: dict[str, Any]
    metadata: dict[str, Any]
    timestamp: datetime
    hash: bytes

    @cached_property
    def event(self) -> Any:
        """Today's event object, upcast where the row is older.

        Raises:
            UnknownEventType: this code does not know the type.
        """
        return registry.decode(self.aggregate_type, self.event_type, self.schema_version, self.data)

    def hash_after(self, previous: bytes) -> bytes:
        """What its hash must be, where `previous` is the hash of the event before it in its stream."""
        return chain_hash(
            previous,
            aggregate_id=self.aggregate_id,
            version=self.version,
            event_id=self.event_id,
            command_id=self.command_id,
            event_type=self.event_type,
            schema_version=self.schema_version,
            timestamp=self.timestamp,
            data=canonical_json(self.data),
            metadata=canonical_json(self.metadata),
        )

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """From a row of `COLUMNS`, with data and metadata as JSON text."""
        values = dict(zip(_NAMES, row, strict=True))
        values["data"], values["metadata"] = orjson.loads(values["data"]), orjson.loads(values["metadata"])
        values["hash"] = bytes(values["hash"])
        return cls(**values)


COLUMNS = (
    "position, aggregate_id, aggregate_type, version, event_id, event_type, schema_version, command_id, "
    "data::text, metadata::text, timestamp, hash"
)
_NAMES = tuple(field.name for field in fields(StoredEvent))
