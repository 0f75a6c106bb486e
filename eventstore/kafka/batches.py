"""Messages put together for one transaction, with what they claim to hold of each shard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from eventstore.feed import Page, Ref, Types
from eventstore.kafka.messages import Received
from eventstore.projections.applying import Span


@dataclass(frozen=True)
class Batch:
    """Events in the order in which they came, each shard's without a hole."""

    types: Types
    refs: Sequence[Ref]
    spans: dict[int, Span]

    @cached_property
    def page(self) -> Page:
        return Page(self.refs, self.types)


def batches(received: Iterable[Received], types: Types) -> Iterator[Batch]:
    """One batch, as a rule; a new one begins where a shard has a hole, which the read model then fills, or where a
    message does not connect to the one before it. An event that came twice is left out the second time.

    `types`: those of all events received. (One loop and few objects: this runs for every event.)
    """
    refs: list[Ref] = []
    first: dict[int, tuple[int, int]] = {}
    reached: dict[int, int] = {}
    for ref, previous, _ in received:
        position, _, shard = ref
        known = reached.get(shard)
        if known is not None and position <= known:
            continue
        if known is not None and previous != known:
            yield Batch(types, refs, _spans(first, reached))
            refs, first, reached, known = [], {}, {}, None
        if known is None:
            first[shard] = previous, position
        reached[shard] = position
        refs.append(ref)
    if refs:
        yield Batch(types, refs, _spans(first, reached))


def _spans(first: dict[int, tuple[int, int]], reached: dict[int, int]) -> dict[int, Span]:
    return {shard: Span(first[shard][0], position, first[shard][1]) for shard, position in reached.items()}
