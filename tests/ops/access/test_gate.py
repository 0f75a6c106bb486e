"""Who gets to the operations endpoints, and who is told how to."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from ops.access import gate
from ops.access.keys import issue_key
from ops.access.scopes import OPS_READ, OPS_WRITE
from ops.conf import get_settings
from ops.endpoints import ENDPOINTS
from ops.models import ApiClient, AuditEntry
from tests.ops.operators import Operator, require_documented
from tests.staff import make_staff, signed_in

CLOSED = sorted((entry.method, entry.path) for entry in ENDPOINTS if not entry.public)
FAR = {"SERVER_NAME": "localhost", "REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def stranger(db: None) -> Client:
    return Client(**FAR)


def token(*scopes: str) -> dict[str, str]:
    client, _ = ApiClient.objects.get_or_create(name="prometheus")
    soon = timezone.now() + timedelta(hours=1)
    return {"authorization": f"Bearer {issue_key(client=client, scopes=scopes, expires_at=soon, issued_by=None)[1]}"}


@pytest.fixture
def allowed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_settings().model_copy(update={"ops_allowed_networks": ["192.0.2.0/24"]})
    monkeypatch.setattr(gate, "get_settings", lambda: config)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_stranger_is_refused_everywhere_and_told_how_to_get_in(stranger: Client, method: str, path: str) -> None:
    answer = stranger.generic(method, path)

    assert answer.status_code == 403
    require_documented(path, answer)
    assert answer.json()["code"] == "permission_denied"
    assert "localhost" in answer.json()["detail"]
    assert ("ops:write" if method == "POST" else "ops:read") in answer.json()["detail"]
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize(("method", "path"), [(entry.method, entry.path) for entry in ENDPOINTS])
def test_another_method_is_a_problem_that_names_the_right_one(db: None, method: str, path: str) -> None:
    here = Client(enforce_csrf_checks=True, REMOTE_ADDR="127.0.0.1", SERVER_NAME="localhost")
    for other in {"GET", "POST", "PUT", "DELETE"} - {method}:
        answer = here.generic(other, path)

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), other
        assert answer["Content-Type"] == gate.MEDIA_TYPE
        assert method in answer["Allow"].split(", ")
        assert answer.json()["detail"].startswith(f"{other} is not offered here: send {method}")
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_live_and_ready_are_open_to_all(stranger: Client, path: str) -> None:
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "192.0.2.7"},
        {"forwarded": "for=192.0.2.7"},
        {"x-real-ip": "192.0.2.7"},
        {"via": "1.1 proxy"},
        {"host": "bank.example"},
        {"host": "localhost.evil.example:3000"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/config"), ("POST", "/debug/cleanup")])
def test_from_the_machine_itself_only_a_straight_call_under_its_own_name_counts(
    operator: Operator, settings: object, headers: dict[str, str], method: str, path: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]  # type: ignore[attr-defined]
    straight = operator.http.generic(method, path)
    answer = operator.http.generic(method, path, headers=headers)

    assert straight.status_code == 200
    assert answer.status_code == 403


@pytest.mark.parametrize("header", gate.PROXY_HEADERS)
def test_whatever_a_proxy_adds_makes_a_call_not_one_of_the_machine_itself(operator: Operator, header: str) -> None:
    name = header.removeprefix("HTTP_").replace("_", "-").lower()
    assert operator.http.get("/config", headers={name: "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize("header", [{"sec-fetch-site": "same-origin"}, {"origin": "http://localhost"}])
def test_a_page_of_the_bank_itself_counts_as_the_machine_itself(db: None, header: dict[str, str]) -> None:
    browser = Client(SERVER_NAME="localhost", REMOTE_ADDR="127.0.0.1")
    assert browser.get("/config", headers={"host": "localhost", **header}).status_code == 200


def test_a_call_from_elsewhere_is_not_one_of_the_machine_itself_whatever_it_calls_itself(stranger: Client) -> None:
    assert stranger.get("/config", headers={"host": "localhost"}).status_code == 403


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_nothing_is_read_or_done_by_another_method(operator: Operator, method: str, path: str) -> None:
    wrong = "GET" if method == "POST" else "POST"
    answer = operator.http.generic(wrong, path)
    assert answer.status_code in (403, 405)
    assert wrong not in answer.headers.get("Allow", "")
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize("host", ["localhost", "localhost:3000", "127.0.0.1:3000", "[::1]:3000", "[::1]"])
def test_every_name_of_the_machine_itself_counts(db: None, host: str) -> None:
    address = "::1" if host.startswith("[") else "127.0.0.1"
    assert Client(REMOTE_ADDR=address).get("/config", headers={"host": host}).status_code == 200


@pytest.mark.usefixtures("allowed_network")
def test_an_allowed_network_may_read_and_not_clean_up(stranger: Client) -> None:
    assert stranger.get("/metrics").status_code == 200
    assert stranger.post("/debug/cleanup").status_code == 403
    assert Client(SERVER_NAME="localhost", REMOTE_ADDR="198.51.100.1").get("/metrics").status_code == 403
    assert AuditEntry.objects.count() == 0


def test_a_key_opens_what_its_scope_says(stranger: Client) -> None:
    reads, writes = token(OPS_READ), token(OPS_WRITE)

    assert stranger.get("/config", headers=reads).status_code == 200
    assert stranger.get("/config", headers=writes).status_code == 403
    assert stranger.post("/debug/cleanup", headers=reads).status_code == 403
    assert AuditEntry.objects.count() == 0
    assert stranger.post("/debug/cleanup", headers=writes).status_code == 200
    assert AuditEntry.objects.get().actor == "client:prometheus"


@pytest.mark.parametrize("header", ["Bearer bk_000000000000_" + "A" * 43, "Basic eDp5", "Bearer"])
def test_a_wrong_key_is_refused_even_on_the_machine_itself(operator: Operator, header: str) -> None:
    answer = operator.get("/config", Authorization=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"]


def far_browser(user: User, *, csrf: bool = False) -> Client:
    browser = signed_in(user)
    browser.handler.enforce_csrf_checks = csrf
    browser.defaults.update(FAR)
    return browser


@pytest.mark.parametrize("role", ["viewer", "teller", "operator", "supervisor", "auditor"])
def test_staff_get_in_with_the_permission_of_their_role(db: None, role: str) -> None:
    may_see = role in ("operator", "supervisor", "auditor")
    may_clean = role in ("operator", "supervisor")
    browser = far_browser(make_staff(role))

    assert browser.get("/debug/state").status_code == (200 if may_see else 403)
    assert browser.post("/debug/cleanup?dry_run=true").status_code == (200 if may_clean else 403)
    assert AuditEntry.objects.filter(action="cleanup_dry_run").count() == int(may_clean)
    refused = browser.post("/debug/cleanup")
    assert refused.status_code == 403, "it takes two persons, and the admin asks the second"
    assert ("two persons" in refused.json()["detail"]) is may_clean
    assert not AuditEntry.objects.filter(action="cleanup").exists()


def test_a_browser_s_session_needs_its_csrf_token_to_clean_up(db: None) -> None:
    browser = far_browser(make_staff("operator"), csrf=True)

    refused = browser.post("/debug/cleanup")

    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    assert not AuditEntry.objects.filter(action="cleanup").exists()


def test_a_browser_s_session_cleans_up_with_its_csrf_token(db: None) -> None:
    browser = far_browser(make_staff("operator"), csrf=True)
    browser.get("/admin/")
    csrf = browser.cookies[settings.CSRF_COOKIE_NAME].value

    assert browser.post("/debug/cleanup?dry_run=true", headers={"x-csrftoken": csrf}).status_code == 200
    assert browser.post("/debug/cleanup?dry_run=true", headers={"x-csrftoken": csrf[::-1]}).status_code == 403
    assert AuditEntry.objects.filter(action="cleanup_dry_run").count() == 1


@pytest.mark.parametrize("lost", ["is_staff", "is_active"])
def test_who_is_no_staff_any_more_is_refused_whatever_their_role_says(db: None, lost: str) -> None:
    user = make_staff("operator")
    browser = far_browser(user)
    assert browser.get("/config").status_code == 200
    User.objects.filter(pk=user.pk).update(**{lost: False})
    assert browser.get("/config").status_code == 403


def test_a_dismissed_operator_is_refused(db: None) -> None:
    user = make_staff("operator")
    browser = far_browser(user)
    user.groups.remove(Group.objects.get(name="operator"))
    assert browser.get("/config").status_code == 403
