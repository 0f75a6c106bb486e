"""Messages put together for one transaction, with what they claim to hold of each shard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from eventstore.feed import Page, Ref, Types
from eventstore.kafka.messages import Received
from eventstore.projections.applying import Span


@dataclass
class Batch:
    """Events in the order in which they came, each shard's without a hole."""

    types: Types
    refs: list[Ref] = field(default_factory=list)
    spans: dict[int, Span] = field(default_factory=dict)

    def connects(self, received: Received) -> bool:
        """Whether nothing of its shard is missing between the batch and this event."""
        span = self.spans.get(received.ref.shard)
        return span is None or received.previous <= span.reached

    def add(self, received: Received) -> None:
        """Takes an event that connects; one that the batch holds already is left out."""
        span = self.spans.get(received.ref.shard)
        position = received.ref.position
        if span is None:
            self.spans[received.ref.shard] = Span(received.previous, position)
        elif position <= span.reached:
            return
        else:
            self.spans[received.ref.shard] = Span(span.after, position)
        self.refs.append(received.ref)

    @cached_property
    def page(self) -> Page:
        """What it holds, once it is complete."""
        return Page(self.refs, self.types)


def batches(received: Iterable[Received], types: Types) -> Iterator[Batch]:
    """One batch, as a rule; a new one begins where a shard has a hole, which the read model then fills.

    `types`: those of all events received.
    """
    batch = Batch(types)
    for item in received:
        if not batch.connects(item):
            yield batch
            batch = Batch(types)
        batch.add(item)
    if batch.refs:
        yield batch
