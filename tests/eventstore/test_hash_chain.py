"""The hash chain covers every column of an event but its position, and survives its way through jsonb."""

import dataclasses
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.hashing import GENESIS, canonical_json, chain_hash
from eventstore.store import read_stream
from tests.bank import Bank

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), children, max_size=4
        )
    ),
    max_leaves=12,
)


def test_each_event_is_chained_to_the_one_before(bank: Bank) -> None:
    ann = bank.open("10.00")
    bank.withdraw(ann, "1.00")

    previous = GENESIS
    for stored in read_stream(ann):
        assert stored.hash == stored.hash_after(previous)
        previous = stored.hash


CHANGES = {
    "aggregate_id": UUID(int=9),
    "version": 99,
    "event_id": UUID(int=9),
    "command_id": UUID(int=9),
    "event_type": "Withdrawn",
    "schema_version": 2,
    "data": {},
    "metadata": {},
}


@pytest.mark.parametrize("name", [*CHANGES, "timestamp"])
def test_no_column_can_change_without_breaking_the_chain(bank: Bank, name: str) -> None:
    [opened, deposited] = read_stream(bank.open("10.00"))
    value = deposited.timestamp + timedelta(microseconds=1) if name == "timestamp" else CHANGES[name]

    assert deposited.hash_after(opened.hash) == deposited.hash
    assert dataclasses.replace(deposited, **{name: value}).hash_after(opened.hash) != deposited.hash


def test_fields_cannot_flow_into_one_another() -> None:
    """Length prefixes keep "ab" + "c" apart from "a" + "bc"."""
    fixed = {
        "aggregate_id": UUID(int=1),
        "version": 1,
        "event_id": UUID(int=2),
        "command_id": UUID(int=3),
        "schema_version": 1,
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
    }
    hashes = {
        chain_hash(GENESIS, **fixed, event_type="t", data=data, metadata=metadata)
        for data, metadata in ((b"abc", b""), (b"ab", b"c"), (b"a", b"bc"), (b"", b"abc"))
    }
    assert len(hashes) == 4


@given(value=json_values)
def test_canonical_json_is_the_same_after_a_round_trip(value: object) -> None:
    once = canonical_json({"value": value})
    assert canonical_json(orjson.loads(once)) == once


def test_canonical_json_is_the_same_after_jsonb(db: None) -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(value=json_values)
    def round_trip(value: object) -> None:
        before = canonical_json({"value": value})
        with connection.cursor() as cursor:
            cursor.execute("SELECT (%s::jsonb)::text", (before.decode(),))
            (text,) = cursor.fetchone()
        assert canonical_json(orjson.loads(text)) == before

    round_trip()
