"""Messages put together for one transaction, with what they claim to hold of each shard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from eventstore.events import StoredEvent
from eventstore.kafka.messages import Received
from eventstore.projections.applying import Span


@dataclass(slots=True)
class Batch:
    """Events in the order in which they came, each shard's without a hole."""

    events: list[StoredEvent] = field(default_factory=list)
    spans: dict[int, Span] = field(default_factory=dict)

    def connects(self, received: Received) -> bool:
        """Whether nothing of its shard is missing between the batch and this event."""
        span = self.spans.get(received.shard)
        return span is None or received.previous <= span.reached

    def add(self, received: Received) -> None:
        """Takes an event that connects; one that the batch holds already is left out."""
        span = self.spans.get(received.shard)
        position = received.event.position
        if span is None:
            self.spans[received.shard] = Span(received.previous, position)
        elif position <= span.reached:
            return
        else:
            self.spans[received.shard] = Span(span.after, position)
        self.events.append(received.event)


def batches(received: Iterable[Received]) -> Iterator[Batch]:
    """One batch, as a rule; a new one begins where a shard has a hole, which the read model then fills."""
    batch = Batch()
    for item in received:
        if not batch.connects(item):
            yield batch
            batch = Batch()
        batch.add(item)
    if batch.events:
        yield batch
