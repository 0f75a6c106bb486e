"""API keys at the door: who is let in, and what the others are told."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.api.scopes import ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from ops.access.keys import issue_key, revoke_key
from ops.models import ApiKey
from tests.accounts.api.caller import Caller, new_caller, openapi, refusal
from tests.bank import Bank
from tests.staff import make_superuser, signed_in

RIGHT_FORM = "bk_0123456789ab_" + "A" * 43


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer bk",
        "Bearer bk_",
        "Bearer bk__",
        "Bearer bk_short_short",
        f"Bearer {RIGHT_FORM}",
        f"Bearer {RIGHT_FORM}A",
        f"Bearer {RIGHT_FORM[:-1]}",
        f"Bearer {RIGHT_FORM[:-1]}é",
        f"Bearer {RIGHT_FORM} {RIGHT_FORM}",
        f"Basic {RIGHT_FORM}",
        RIGHT_FORM,
        "Bearer " + "A" * 100_000,
        "Bearer \x00",
        "é",
    ],
    ids=lambda header: repr(header[:30]),
)
def test_a_wrong_token_is_a_clean_401(api: Caller, header: str) -> None:
    """Row 21: a short bearer token killed the process."""
    answer = api.get("/accounts", Authorization=header)

    assert refusal(answer) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="bankes"'
    assert api.get("/accounts").status_code == 200


def test_a_right_prefix_with_a_wrong_secret_is_told_as_an_unknown_key(api: Caller) -> None:
    wrong = api.token[:-2] + ("AA" if api.token[-2:] != "AA" else "BB")

    told = [api.get("/accounts", Authorization=f"Bearer {token}").json()["detail"] for token in (wrong, RIGHT_FORM)]

    assert told == ["There is no such API key."] * 2


def test_revoked_and_expired_keys_and_inactive_clients_are_shut_out(bank: Bank) -> None:
    revoked, expired, inactive = new_caller("one"), new_caller("two"), new_caller("three")
    revoke_key(ApiKey.objects.get(client=revoked.client))
    ApiKey.objects.filter(client=expired.client).update(expires_at=timezone.now())
    type(inactive.client).objects.filter(pk=inactive.client.pk).update(is_active=False)

    answers = [caller.get("/accounts") for caller in (revoked, expired, inactive)]

    assert [refusal(answer) for answer in answers] == [(401, "not_authenticated")] * 3
    assert [answer.json()["detail"] for answer in answers] == [
        "The API key was revoked.",
        "The API key has expired.",
        "The API client is not active.",
    ]


def test_the_scheme_is_read_in_any_case(api: Caller) -> None:
    assert api.get("/accounts", Authorization=f"bearer {api.token}").status_code == 200


def test_a_key_does_what_its_scopes_say_and_no_more(api: Caller, bank: Bank) -> None:
    """Row 21: roles were never checked."""
    account_id = api.open("5.00")
    reader, payer = new_caller(scopes=(ACCOUNTS_READ,)), new_caller(scopes=(PAYMENTS_WRITE,))
    body = {"amount": "1.00", "currency": "EUR"}
    before = bank.footprint()

    refused = reader.post(f"/accounts/{account_id}/deposits", body)
    assert refusal(refused) == (403, "permission_denied")
    assert "payments:write" in refused.json()["detail"]
    assert refusal(payer.get(f"/accounts/{account_id}")) == (403, "permission_denied")
    assert refusal(payer.post(f"/accounts/{account_id}/close")) == (403, "permission_denied")
    assert bank.footprint() == before
    assert reader.get(f"/accounts/{account_id}").status_code == 200
    assert payer.post(f"/accounts/{account_id}/deposits", body).status_code == 200


def test_every_route_of_the_document_asks_for_a_key(bank: Bank) -> None:
    """Row 21, from the other side: no route was forgotten."""
    before = bank.footprint()
    nobody = Client()
    tried = 0

    for path, operations in openapi()["paths"].items():
        concrete = re.sub(r"\{\w+\}", str(bank_id), path)
        for method, operation in operations.items():
            answer = nobody.generic(method.upper(), concrete, b"{}", content_type="application/json")
            assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json"), path
            assert operation["security"][0]["apiKey"], f"{method} {path} asks for no scope"
            tried += 1
    assert tried >= 16
    assert bank.footprint() == before


bank_id = "01980a2b-6f3e-7c11-9d4a-0f6f3c2b1a55"


def test_a_staff_session_does_not_open_the_api(bank: Bank) -> None:
    browser = signed_in(make_superuser())
    assert browser.get("/admin/").status_code == 200

    assert browser.get("/api/v1/accounts").status_code == 401


def test_the_last_use_is_noted_to_the_minute(api: Caller) -> None:
    api.get("/accounts")
    first = ApiKey.objects.get(client=api.client).last_used_at
    api.get("/accounts")
    assert ApiKey.objects.get(client=api.client).last_used_at == first

    key = ApiKey.objects.get(client=api.client)
    key.last_used_at = timezone.now() - timedelta(seconds=61)
    key.save()
    api.get("/accounts")
    noted = ApiKey.objects.get(client=api.client).last_used_at
    assert first is not None
    assert noted is not None
    assert noted > first


def test_a_client_may_hold_two_keys_while_it_changes_over(api: Caller) -> None:
    later = timezone.now() + timedelta(days=1)
    _, token = issue_key(client=api.client, scopes=[ACCOUNTS_WRITE], expires_at=later, issued_by=None)

    assert Caller(token, api.client).post("/accounts", {"owner": "Ann", "currency": "EUR"}).status_code == 201
    assert api.get("/accounts").status_code == 200


def test_whoever_comes_with_a_key_is_known_by_it_and_not_by_a_session(api: Caller) -> None:
    staff = signed_in(make_superuser())
    key = {"Authorization": f"Bearer {api.token}"}

    with_both = staff.get("/api/v1/accounts", headers=key)
    assert with_both.status_code == 200
    assert not hasattr(with_both.wsgi_request, "session"), "a session was looked for"
    assert not with_both.cookies
    assert "Cookie" not in with_both.get("Vary", "")
    assert staff.get("/api/v1/accounts").status_code == 401, "staff have no accounts of their own"
    assert staff.get("/api/v1/schema").status_code == 200
    assert staff.get("/api/v1/schema", headers=key).status_code == 200


def test_a_key_opens_no_page(api: Caller) -> None:
    answer = Client().get("/admin/", headers={"Authorization": f"Bearer {api.token}"})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")
