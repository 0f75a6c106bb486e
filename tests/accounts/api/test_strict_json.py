"""Bodies: one JSON object, read in one way only."""

import json
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from accounts.api.parsers import read_object
from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank

MALFORMED = [
    b"{",
    b"not json",
    b"[]",
    b'"text"',
    b"null",
    b"17",
    b'{"amount": "1.00", "amount": "9.00", "currency": "EUR"}',
    b'{"amount": NaN, "currency": "EUR"}',
    b'{"amount": Infinity, "currency": "EUR"}',
    b'{"amount": -Infinity, "currency": "EUR"}',
    b'{"amount": "1.00", "currency": "EUR"} trailing',
    b'{"amount": "1.00", "currency": "EUR",}',
    b"{'amount': '1.00'}",
    b'{"amount": "1.00", "currency": "EUR", "description": "\xff"}',
    b'{"amount": "1.00", "currency": "EUR", "description": "\\ud800"}',
    b'\xef\xbb\xbf{"amount": "1.00", "currency": "EUR"}',
    '{"amount": "1.00", "currency": "EUR"}'.encode("utf-16"),
    b'{"amount": ' + b"9" * 5000 + b"}",
    b'{"amount": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"amount": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b"\x00",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:40]))
def test_what_is_not_one_json_object_is_refused(api: Caller, bank: Bank, body: bytes) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", body)

    assert refusal(answer) == (400, "malformed_request")
    assert bank.footprint() == before


def test_a_name_that_is_there_twice_is_named_also_in_a_batch(api: Caller) -> None:
    answer = api.post("/batches", b'{"commands": [{"command": "freeze", "command": "close"}]}')

    assert refusal(answer) == (400, "malformed_request")
    assert "'command'" in answer.json()["detail"]


def test_a_long_object_with_a_name_twice_is_refused_in_no_time(api: Caller) -> None:
    names = b",".join(b'"%d":0' % number for number in range(400_000))

    answer = api.post("/batches", b"{" + names + b',"399999":0}')

    assert refusal(answer) == (400, "malformed_request")


def test_an_oversized_number_is_a_field_error(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/deposits", b'{"amount": 1e999, "currency": "EUR"}')

    assert answer.status_code == 400
    assert bank.footprint() == before


def test_a_body_beyond_the_limit_is_refused(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()
    padding = b" " * settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    answer = api.post(f"/accounts/{account_id}/deposits", b'{"amount": "1.00", "currency": "EUR"}' + padding)

    assert refusal(answer) == (413, "payload_too_large")
    assert bank.footprint() == before


def test_a_body_in_chunks_is_refused_rather_than_taken_for_none(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post(f"/accounts/{account_id}/freeze", Transfer_Encoding="chunked")

    assert refusal(answer) == (400, "malformed_request")
    assert bank.footprint() == before


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "x"])
def test_another_media_type_is_refused(api: Caller, bank: Bank, media_type: str) -> None:
    account_id = api.open()
    before = bank.footprint()

    answer = api.post(
        f"/accounts/{account_id}/deposits", b'{"amount": "1.00", "currency": "EUR"}', Content_Type=media_type
    )

    assert refusal(answer) == (415, "unsupported_media_type")
    assert bank.footprint() == before


@pytest.mark.parametrize(
    "media_type", ["Application/JSON; charset=UTF-8", "APPLICATION/JSON", "application/json;x=1"]
)
def test_a_media_type_may_be_written_in_any_case_and_with_parameters(api: Caller, media_type: str) -> None:
    account_id = api.open()

    answer = api.post(
        f"/accounts/{account_id}/deposits", b'{"amount": "1.00", "currency": "EUR"}', Content_Type=media_type
    )

    assert answer.status_code == 200
    assert api.balance(account_id) == "1.00"


MEMBERS = st.deferred(lambda: st.lists(st.tuples(st.sampled_from(["a", "b", "command"]), VALUES), max_size=4))
VALUES = st.one_of(
    st.sampled_from(['"x"', '""', '"\\""', '"\\u0022"', '"{"', "1", "1.5", "true", "null", "[]", '["a", "a"]']),
    MEMBERS.map(lambda members: as_object(members)),
)


def as_object(members: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"


@given(MEMBERS)
def test_the_quick_look_at_a_body_sees_what_a_careful_one_sees(members: list[tuple[str, str]]) -> None:
    body = as_object(members)

    def careful(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a name is there twice"
        return dict(pairs)

    try:
        expected = json.loads(body, object_pairs_hook=careful)
    except AssertionError:
        with pytest.raises(ParseError, match="is there twice"):
            read_object(body.encode())
    else:
        assert read_object(body.encode()) == expected
