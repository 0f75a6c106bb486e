"""Old events are read as today's; a hole in the chain stops the start, a newer event is never guessed at."""

import pytest

from accounts.aggregate import ACCOUNT
from eventstore.errors import UnknownEventType
from eventstore.registry import AggregateType, EventType, RegistryError, decode, register

FIRST_TO_SECOND = {1: lambda data: {"name": data["first"] + " " + data["last"]}}
SECOND_TO_THIRD = {2: lambda data: {**data, "title": ""}}


def aggregate(name: str, **event_types: EventType) -> AggregateType:
    return AggregateType(name, event_types, 1, lambda state, _, event: event, dict, dict)


def test_old_data_is_carried_forward_step_by_step() -> None:
    register(
        aggregate(
            "person-1", Named=EventType(dict, schema_version=3, upcasters={**FIRST_TO_SECOND, **SECOND_TO_THIRD})
        )
    )

    assert decode("person-1", "Named", 1, {"first": "Ada", "last": "L"}) == {"name": "Ada L", "title": ""}
    assert decode("person-1", "Named", 2, {"name": "Ada L"}) == {"name": "Ada L", "title": ""}
    assert decode("person-1", "Named", 3, {"name": "Ada L", "title": "Dr"}) == {"name": "Ada L", "title": "Dr"}


@pytest.mark.parametrize("upcasters", [{}, FIRST_TO_SECOND, SECOND_TO_THIRD])
def test_a_hole_in_the_chain_is_found_when_the_code_starts(upcasters: dict) -> None:
    with pytest.raises(RegistryError, match=r"person-2.Named is at schema version 3 and needs upcasters"):
        register(aggregate("person-2", Named=EventType(dict, schema_version=3, upcasters=upcasters)))


def test_one_name_is_registered_once() -> None:
    with pytest.raises(RegistryError, match="twice"):
        register(aggregate(ACCOUNT.name))


@pytest.mark.parametrize(("event_type", "schema_version"), [("Unheard", 1), ("Deposited", 2), ("Deposited", 0)])
def test_what_this_code_does_not_know_it_does_not_guess(event_type: str, schema_version: int) -> None:
    with pytest.raises(UnknownEventType):
        decode("account", event_type, schema_version, {})
