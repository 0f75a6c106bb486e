"""From a row of the books to a message and back.

The value is the whole stored event as JSON; the headers repeat what a reader needs to route or skip it without
parsing, and `previous`: the position of the event before it in its shard, 0 for the first.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from confluent_kafka import Message

from eventstore import feed
from eventstore.errors import EventStoreError
from eventstore.events import StoredEvent

Headers = list[tuple[str, str | bytes | None]]


class Unreadable(EventStoreError):
    """A message that is no event of this store."""


class Row(NamedTuple):
    """A stored event as the relay reads it, ready to be sent. `value` is the whole of it as JSON text: ids as text,
    the timestamp in ISO 8601, the hash in hexadecimal."""

    position: int
    aggregate_id: bytes
    key: str
    value: str
    event_id: str
    version: str
    event_type: str
    schema_version: str


ROW = (
    "position, uuid_send(aggregate_id), aggregate_id::text, event_message(events), event_id::text, version::text,"
    " event_type, schema_version::text"
)
"""The columns of a Row."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event that came by Kafka, its shard, and the position before it there."""

    event: StoredEvent
    shard: int
    previous: int


def headers_of(row: Row, previous: int) -> Headers:
    return [
        ("event_id", row.event_id),
        ("position", str(row.position)),
        ("version", row.version),
        ("event_type", row.event_type),
        ("schema_version", row.schema_version),
        ("previous", str(previous)),
    ]


def read_message(message: Message, shards: int) -> Received:
    """
    Raises:
        Unreadable: it is no event, lies in the wrong partition, or its headers and its value disagree.
    """
    value = message.value()
    if value is None:
        raise Unreadable("the message is empty")
    try:
        event = _event_of(orjson.loads(value))
        headers: dict[str, Any] = dict(message.headers() or ())
        position, previous = int(headers["position"]), int(headers["previous"])
    except Exception as error:
        raise Unreadable(f"the message is no stored event: {error!r}") from error
    shard = feed.shard_of(event.aggregate_id, shards)
    if shard != message.partition():
        raise Unreadable(f"stream {event.aggregate_id} belongs to partition {shard}")
    if not 0 <= previous < position == event.position:
        raise Unreadable(f"position {position} in the header, {event.position} in the value, {previous} before it")
    return Received(event, shard, previous)


def _event_of(body: dict[str, Any]) -> StoredEvent:
    return StoredEvent(
        position=_number(body["position"]),
        aggregate_id=_uuid(body["aggregate_id"]),
        aggregate_type=_text(body["aggregate_type"]),
        version=_number(body["version"]),
        event_id=_uuid(body["event_id"]),
        event_type=_text(body["event_type"]),
        schema_version=_number(body["schema_version"]),
        command_id=_uuid(body["command_id"]),
        data=_object(body["data"]),
        metadata=_object(body["metadata"]),
        timestamp=_moment(body["timestamp"]),
        hash=bytes.fromhex(body["hash"]),
    )


def _number(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} is not a positive whole number")
    return value


def _uuid(text: str) -> UUID:
    """As UUID(text), in the one form that the relay writes: half the time."""
    if len(text) != 36:
        raise ValueError(f"{text!r} is not an id")
    return UUID(int=int(text.replace("-", ""), 16))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is not an object")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return moment
