"""The account as the event store knows it: its event types, their schema versions, and its fold."""

from functools import partial

from accounts.domain.account import AGGREGATE_TYPE, STATE_SCHEMA, evolve, load_state
from accounts.domain.events import EVENT_CLASSES, from_data, to_data
from eventstore.registry import AggregateType, EventType

ACCOUNT = AggregateType(
    name=AGGREGATE_TYPE,
    events={name: EventType(decode=partial(from_data, name)) for name in EVENT_CLASSES},
    state_schema=STATE_SCHEMA,
    evolve=evolve,
    dump=to_data,
    load=load_state,
)
