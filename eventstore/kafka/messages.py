"""From a row of the books to a message and back.

The value is the whole stored event as JSON; the headers repeat what a reader needs to route or skip it without
parsing, and `previous`: the position of the event before it in its shard, 0 for the first.
"""

import json
import re
from functools import lru_cache
from typing import Any

from confluent_kafka import Message

from eventstore import feed
from eventstore.errors import EventStoreError
from eventstore.feed import Ref

Headers = list[tuple[str, str | bytes | None]]


_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""An id as PostgreSQL writes it: whatever else looks like one, PostgreSQL might not read."""


class Unreadable(EventStoreError):
    """A message that is no event of this store."""


Row = tuple[str, bytes, str, str, str, str, str, str, str, str, str, str, str]
"""A stored event as the relay reads it, in the order of `COLUMNS`: its position first, then its stream's id, which
says the shard; all others as the text that they are in a message."""

COLUMNS = (
    "position::text, uuid_send(aggregate_id), aggregate_id::text, event_id::text, version::text, event_type,"
    " schema_version::text, aggregate_type, command_id::text, data::text, metadata::text, to_json(timestamp)::text,"
    " encode(hash, 'hex')"
)
"""Text as far as it goes: PostgreSQL writes JSON and ids many times faster than Python would from values."""


Outgoing = tuple[str, str, Headers]
"""A message but for its partition: key, value, headers."""


Received = tuple[Ref, int, str]
"""An event that came by Kafka, the position before it in its shard, and the event's id."""


def message_of(row: Row, previous: str) -> Outgoing:
    """The message of a row; `previous`: the position of the event before it in its shard.

    One expression and no function more than needed: this runs for every event, in the relay's busiest loop.
    """
    (position, _, aggregate_id, event_id, version, event_type, schema_version,
     aggregate_type, command_id, data, metadata, timestamp, hash_) = row  # fmt: skip
    return (
        aggregate_id,
        f'{{"position":{position},"aggregate_id":"{aggregate_id}","aggregate_type":{_quoted(aggregate_type)}'
        f',"version":{version},"event_id":"{event_id}","event_type":{_quoted(event_type)}'
        f',"schema_version":{schema_version},"command_id":"{command_id}","data":{data},"metadata":{metadata}'
        f',"timestamp":{timestamp},"hash":"{hash_}"}}',
        [
            ("event_id", event_id),
            ("position", position),
            ("version", version),
            ("event_type", event_type),
            ("schema_version", schema_version),
            ("previous", previous),
        ],
    )


def read_message(message: Message, shards: int) -> Received:
    """What a message says by its key and headers. Its value is for other systems: the bank's own read models take
    the event from the books, so that nobody who can write to the topic can write to an account.

    Raises:
        Unreadable: it names no event, or lies in the wrong partition.
    """
    if message.value() is None:
        raise Unreadable("the message is empty")
    try:
        aggregate_id, headers = _id(message.key()), dict(message.headers() or ())
        event_id = _id(headers["event_id"])
        position, previous = int(headers["position"]), int(headers["previous"])  # type: ignore[arg-type]
        shard = feed.shard_of_text(aggregate_id, shards)
    except Exception as error:
        raise Unreadable(f"key and headers name no event: {error!r}") from error
    if shard != message.partition():
        raise Unreadable(f"stream {aggregate_id} belongs to partition {shard}")
    if not 0 <= previous < position < 2**63:
        raise Unreadable(f"position {position} cannot come after {previous}")
    return Ref(position, aggregate_id, shard), previous, event_id


@lru_cache(1000)
def _quoted(name: str) -> str:
    """A type's name as JSON; there are few."""
    return json.dumps(name)


def _id(text: Any) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an id")
    return str(text, "ascii")
