"""From a row of the books to a message and back.

The value is the whole stored event as JSON; the headers repeat what a reader needs to route or skip it without
parsing, and `previous`: the position of the event before it in its shard, 0 for the first.
"""

from typing import Any, NamedTuple

from confluent_kafka import Message

from eventstore import feed
from eventstore.errors import EventStoreError
from eventstore.feed import Ref

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


class Received(NamedTuple):
    """An event that came by Kafka, and the position before it in its shard."""

    ref: Ref
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
    """What a message says by its key and headers. Its value is for other systems: the bank's own read models take
    the event from the books, so that nobody who can write to the topic can write to an account.

    Raises:
        Unreadable: it names no event, or lies in the wrong partition.
    """
    if message.value() is None:
        raise Unreadable("the message is empty")
    try:
        key, headers = message.key(), dict(message.headers() or ())
        aggregate_id = _id(key)
        position, previous = int(headers["position"]), int(headers["previous"])  # type: ignore[arg-type]
        shard = feed.shard_of_text(aggregate_id, shards)
    except Exception as error:
        raise Unreadable(f"key and headers name no event: {error!r}") from error
    if shard != message.partition():
        raise Unreadable(f"stream {aggregate_id} belongs to partition {shard}")
    if not 0 <= previous < position < 2**63:
        raise Unreadable(f"position {position} cannot come after {previous}")
    return Received(Ref(position, aggregate_id, shard), previous)


def _id(key: Any) -> str:
    text = str(key, "ascii")
    if len(text) != 36:
        raise ValueError(f"{key!r} is not an id")
    return text
