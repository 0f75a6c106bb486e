"""The fast lane answers as the ordinary route does, and leaves to it whatever is not plainly in order."""

import json
import time
import uuid
from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse
from prometheus_client import REGISTRY

from accounts.api.outright import common_headers, refused
from accounts.domain.errors import ErrorCode
from ops.access.keys import revoke_key
from ops.models import ApiKey
from tests.accounts.api.caller import Caller, new_caller
from tests.accounts.api.lanes import LaneClient
from tests.bank import Bank

BODY = {"amount": "1.00", "currency": "EUR"}


@pytest.fixture
def fast(api: Caller) -> Caller:
    """The same client, through the lane."""
    return Caller(api.token, api.client, LaneClient())


def taken(caller: Caller) -> int:
    """How many requests the lane has answered itself."""
    assert isinstance(caller.http, LaneClient)
    return caller.http.lane.taken


def told(response: HttpResponse) -> dict[str, str]:
    """The headers, less what differs from request to request; case as the test client keeps it."""
    return {name: value for name, value in response.headers.items() if name not in ("X-Request-ID", "Content-Length")}


def without_moments(response: HttpResponse) -> dict[str, Any]:
    body = response.json()
    return {name: body[name] for name in body if name not in ("transaction_id", "recorded_at", "as_of", "request_id")}


def test_an_executed_command_is_answered_alike(api: Caller, fast: Caller) -> None:
    ours, theirs, target = api.open("10.00"), api.open("10.00"), api.open()
    for path, body in (
        ("deposits", BODY | {"contra": "wire", "description": "Überweisung"}),
        ("withdrawals", BODY),
        ("transfers", BODY | {"target_account_id": target}),
    ):
        before = taken(fast)
        quick, slow = (
            fast.post(f"/accounts/{ours}/{path}", body),
            api.post(f"/accounts/{theirs}/{path}/", body),
        )
        assert taken(fast) == before + 1
        assert quick.status_code == slow.status_code == 200
        assert list(quick.json()) == list(slow.json())
        assert told(quick) == told(slow)
        quick_account, slow_account = quick.json()["accounts"][0], slow.json()["accounts"][0]
        assert quick_account | {"id": ""} == slow_account | {"id": ""}


def test_a_refusal_is_answered_alike_and_changes_nothing(api: Caller, fast: Caller, bank: Bank) -> None:
    account_id = api.open("1.00")
    before = bank.footprint()
    for path, body in (
        (f"/accounts/{account_id}/withdrawals", BODY | {"amount": "2.00"}),
        (f"/accounts/{uuid.uuid4()}/deposits", BODY),
        (f"/accounts/{account_id}/transfers", BODY | {"target_account_id": account_id}),
    ):
        quick, slow = fast.post(path, body), api.post(path, body)
        assert (quick.status_code, without_moments(quick)) == (slow.status_code, without_moments(slow))
        assert told(quick) == told(slow)
    assert taken(fast) == 3
    assert bank.footprint() == before


def test_a_repeated_command_gets_its_first_answer_from_either_lane(api: Caller, fast: Caller) -> None:
    account_id = api.open()
    first = fast.post(f"/accounts/{account_id}/deposits", BODY, key="once")
    again = api.post(f"/accounts/{account_id}/deposits", BODY, key="once")
    once_more = fast.post(f"/accounts/{account_id}/deposits", BODY, key="once")

    assert first.content == again.content == once_more.content
    assert (again["Idempotent-Replayed"], once_more["Idempotent-Replayed"]) == ("true", "true")
    assert api.balance(account_id) == "1.00"


def test_a_balance_is_answered_alike(api: Caller, fast: Caller) -> None:
    account_id = api.open("12.50")
    quick, slow = fast.get(f"/accounts/{account_id}/balance"), api.get(f"/accounts/{account_id}/balance")
    assert without_moments(quick) == without_moments(slow)
    assert told(quick) == told(slow)
    assert taken(fast) == 1


def test_what_is_not_plain_is_left_to_the_ordinary_route(api: Caller, fast: Caller, bank: Bank) -> None:
    """Each is answered to the letter as the ordinary route answers it, which has seen all of it."""
    account_id = api.open("1.00")
    path = f"/accounts/{account_id}/deposits"
    before = bank.footprint()
    odd: list[tuple[Any, dict[str, str]]] = [
        (BODY | {"amount": "0.001"}, {}),
        (BODY | {"amount": 1}, {}),
        (BODY | {"amout": "1.00"}, {}),
        ({"amount": "1.00"}, {}),
        (BODY | {"contra": "fees"}, {}),
        (BODY | {"description": "a\nb"} | {"currency": "EURO"}, {}),
        (BODY | {"description": "x" * 3000}, {}),
        (b'{"amount": "1.00", "amount": "2.00", "currency": "EUR"}', {}),
        (b"{", {}),
        (BODY, {"Idempotency_Key": "with space"}),
        (BODY, {"If_Match": "nonsense"}),
        (BODY, {"Authorization": "Basic eDp5"}),
        (BODY, {"Accept": "text/html"}),
        (BODY, {"Host": "elsewhere.example"}),
    ]
    for body, headers in odd:
        quick, slow = fast.post(path, body, **headers), api.post(path, body, **headers)
        assert (quick.status_code, without_moments(quick)) == (slow.status_code, without_moments(slow)), body
        assert quick.status_code >= 400, body
    assert taken(fast) == 0
    assert bank.footprint() == before


def test_a_request_that_is_to_come_by_https_is_sent_there_and_not_answered(
    api: Caller, fast: Caller, bank: Bank, settings: Any
) -> None:
    account_id = api.open("1.00")
    settings.SECURE_SSL_REDIRECT = True
    common_headers.cache_clear()
    before = bank.footprint()
    try:
        for method, name in (("GET", "balance"), ("POST", "deposits")):
            answer = fast.http.generic(
                method,
                f"/api/v1/accounts/{account_id}/{name}",
                json.dumps(BODY) if method == "POST" else "",
                content_type="application/json",
                headers={"Authorization": f"Bearer {api.token}", "Idempotency-Key": "once"},
            )
            assert (answer.status_code, answer["Location"][:8]) == (301, "https://")
    finally:
        common_headers.cache_clear()
    assert taken(fast) == 0
    assert bank.footprint() == before


@pytest.mark.parametrize("name", ["balance", "deposits", "withdrawals", "transfers"])
def test_an_account_of_another_client_is_not_there(fast: Caller, bank: Bank, name: str) -> None:
    other = new_caller("other")
    theirs, ours = other.open("5.00"), fast.open("5.00")
    before = bank.footprint()
    if name == "balance":
        answer = fast.get(f"/accounts/{theirs}/balance")
    else:
        body = BODY | ({"target_account_id": ours} if name == "transfers" else {})
        answer = fast.post(f"/accounts/{theirs}/{name}", body, If_Match='"7"')
    assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")
    assert "5.00" not in answer.content.decode()
    assert taken(fast) == 1
    assert bank.footprint() == before


def test_a_key_without_the_scope_is_told_so(api: Caller, bank: Bank) -> None:
    account_id = api.open("1.00")
    reader = new_caller(scopes=("accounts:read",))
    reader.http = LaneClient()
    before = bank.footprint()
    assert reader.post(f"/accounts/{account_id}/deposits", BODY).status_code == 403
    assert bank.footprint() == before


def test_a_key_revoked_in_this_process_is_refused_at_once(api: Caller, fast: Caller) -> None:
    account_id = api.open()
    assert fast.get(f"/accounts/{account_id}/balance").status_code == 200
    revoke_key(ApiKey.objects.get(client=api.client))
    assert fast.get(f"/accounts/{account_id}/balance").status_code == 401


def test_a_key_revoked_by_another_process_is_refused_after_api_key_trust(
    api: Caller, fast: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = api.open()
    assert fast.get(f"/accounts/{account_id}/balance").status_code == 200
    later = time.monotonic() + 1.01
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")  # as another process would: nothing is told here
    monkeypatch.setattr("ops.access.keys.time.monotonic", lambda: later)
    assert fast.get(f"/accounts/{account_id}/balance").status_code == 401


def test_it_keeps_no_connection(api: Caller, fast: Caller) -> None:
    account_id = api.open()
    fast.post(f"/accounts/{account_id}/deposits", BODY)
    fast.get(f"/accounts/{account_id}/balance")
    connections.close_all()
    pool, deadline = connections["default"].pool, time.monotonic() + 2
    while (stats := pool.get_stats())["pool_available"] < stats["pool_size"]:
        assert time.monotonic() < deadline, stats
        time.sleep(0.01)


def test_a_failure_that_nobody_foresaw_is_a_500_and_tells_nothing_of_the_inside(
    api: Caller, fast: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = api.open()

    def broken(envelope: object, done: object) -> None:
        raise KeyError("the inside")

    monkeypatch.setattr("accounts.api.fastlane.begin_one", broken)
    answer = fast.post(f"/accounts/{account_id}/deposits", BODY)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "inside" not in answer.content.decode()
    assert answer.json()["request_id"] in caplog.text


def test_the_body_can_be_read_again_by_the_ordinary_route(api: Caller, fast: Caller) -> None:
    """It is longer than the lane reads, and nothing but white space makes it so."""
    account_id = api.open()
    answer = fast.post(f"/accounts/{account_id}/deposits", json.dumps(BODY).encode() + b" " * 5000)
    assert (answer.status_code, taken(fast)) == (200, 0)
    assert api.balance(account_id) == "1.00"


@pytest.mark.parametrize("closes", [False, True])
def test_what_is_refused_in_front_of_both_lanes_is_logged_and_counted(
    bank: Bank, caplog: pytest.LogCaptureFixture, closes: bool
) -> None:
    labels = {"status": "429", "view": "<unnamed view>", "method": "<invalid method>"}

    def counted() -> float:
        name = "django_http_responses_total_by_status_view_method_total"
        return REGISTRY.get_sample_value(name, labels) or 0.0

    caplog.set_level("INFO")
    before = counted()
    environ = {
        "REQUEST_METHOD": "BREW",
        "PATH_INFO": "/gr\u00c3\u00bcn",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_X_REQUEST_ID": "mine-2",
        "wsgi.url_scheme": "http",
    }
    answer = refused(environ, ErrorCode.TOO_MANY_REQUESTS, "Wait.", closes=closes)
    assert counted() == before + 1
    [line] = [record.msg for record in caplog.records if "request_refused" in str(record.msg)]
    assert (line["code"], line["request_id"], line["address"]) == ("too_many_requests", "mine-2", "192.0.2.1")
    assert json.loads(answer.body)["instance"] == "/gr\u00fcn"
    headers = dict(answer.headers)
    assert (headers["X-Request-ID"], headers["Retry-After"]) == ("mine-2", "1")
    assert headers.get("Connection") == ("close" if closes else None)


def test_requests_of_the_lane_are_counted(api: Caller, fast: Caller) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("django_http_requests_total_by_method_total", {"method": "POST"}) or 0.0

    account_id = api.open()
    before = counted()
    fast.post(f"/accounts/{account_id}/deposits", BODY)
    assert counted() == before + 1
