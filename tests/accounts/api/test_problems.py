"""Problems: every failure has one shape, and none of them tells what is inside."""

import pytest
from django.test import Client

from accounts.api.catalogue import KINDS
from accounts.domain.errors import ErrorCode
from tests.accounts.api.caller import Caller, refusal
from tests.bank import Bank


def test_every_code_has_a_status_a_title_and_a_remedy() -> None:
    assert set(KINDS) == set(ErrorCode)
    for kind in KINDS.values():
        assert 400 <= kind.status < 600
        assert kind.title
        assert kind.remedy.endswith(".")


def test_the_type_of_a_problem_leads_to_its_remedy(api: Caller) -> None:
    problem = api.get("/accounts/01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55").json()

    explained = api.http.get(problem["type"], headers={"Authorization": f"Bearer {api.token}"}).json()

    assert (explained["code"], explained["title"]) == (problem["code"], problem["title"])
    assert explained["remedy"]
    everything = api.http.get("/problems/", headers={"Authorization": f"Bearer {api.token}"}).json()
    assert [entry["code"] for entry in everything["problems"]] == [code.value for code in KINDS]
    assert Client().get(problem["type"]).status_code == 401
    assert api.http.get("/problems/no_such_code", headers={"Authorization": f"Bearer {api.token}"}).status_code == 404


def test_a_problem_names_the_request(api: Caller) -> None:
    answer = api.get("/accounts/01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55", {"x": "1"}, X_Request_ID="my-request.7")

    assert answer["X-Request-ID"] == "my-request.7"
    assert answer.json()["request_id"] == "my-request.7"
    assert answer.json()["instance"] == "/api/v1/accounts/01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55"


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/", "/api/v2/accounts", "/api/v1/accounts//", "/api/v1/%ff"]
)
def test_an_unknown_path_below_api_is_a_problem(bank: Bank, path: str) -> None:
    assert refusal(Client().get(path)) == (404, "not_found")


def test_an_unknown_path_elsewhere_is_a_page(bank: Bank) -> None:
    answer = Client().get("/nothing")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_a_method_that_is_not_offered_is_405_with_those_that_are(api: Caller, bank: Bank) -> None:
    account_id = api.open()
    before = bank.footprint()

    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = api.http.generic(
            method, f"/api/v1/accounts/{account_id}", headers={"Authorization": f"Bearer {api.token}"}
        )
        assert refusal(answer) == (405, "method_not_allowed")
        assert answer["Allow"] == "GET, HEAD"
        assert "the Allow header" in answer.json()["detail"]
    assert bank.footprint() == before


def test_what_the_framework_refuses_says_what_to_send_instead(api: Caller, bank: Bank) -> None:
    path = f"/accounts/{api.open()}/deposits"
    body = {"amount": "1.00", "currency": "EUR"}
    before = bank.footprint()

    def detail(**headers: str) -> str:
        told: str = api.post(path, body, **headers).json()["detail"]
        return told

    assert "Authorization: Bearer <key>" in detail(Authorization="")
    assert "application/json" in detail(Content_Type="text/plain")
    assert "application/json" in detail(Accept="text/html")
    assert bank.footprint() == before


def test_a_query_parameter_that_is_none_is_refused_with_those_that_are(api: Caller) -> None:
    account = f"/accounts/{api.open()}"

    def detail(path: str, name: str) -> str:
        answer = api.get(account + path, {name: "5"})
        assert refusal(answer) == (400, "unknown_field")
        told: str = answer.json()["detail"]
        return told

    assert detail("/transactions", "limit") == "There is no such query parameter. Known are: cursor, page_size."
    assert detail("/balance", "min_versoin") == "There is no such query parameter. Did you mean min_version?"


def test_an_answer_that_is_not_json_is_not_to_be_had(api: Caller) -> None:
    assert refusal(api.get("/accounts", Accept="text/html")) == (406, "not_acceptable")


def test_a_host_that_is_not_ours_is_a_problem_below_api_and_a_page_elsewhere(bank: Bank) -> None:
    for host in ("evil.example", "a b", "localhost:x", "[::1"):
        answer = Client().get("/api/v1/accounts", headers={"Host": host})
        assert refusal(answer) == (400, "malformed_request")
        assert "ALLOWED_HOSTS" in answer.json()["detail"]
        assert "evil" not in answer.json()["detail"]
    page = Client().get("/admin/", headers={"Host": "evil.example"})
    assert page["Content-Type"].startswith("text/html")
    assert "ALLOWED_HOSTS" in page.content.decode()


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("password=hunter2 in /srv/secret.py")

    monkeypatch.setattr("accounts.selectors.account", explode)
    api.http.raise_request_exception = False

    answer = api.get("/accounts/01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55")

    assert refusal(answer) == (500, "internal_error")
    assert b"hunter2" not in answer.content
    assert b"secret" not in answer.content


def test_request_ids_that_are_not_plain_are_replaced(api: Caller) -> None:
    for given in ("a b", "x" * 61, "<script>", "é", "a\x00"):
        answer = api.get("/accounts", X_Request_ID=given)
        assert len(answer["X-Request-ID"]) == 36
