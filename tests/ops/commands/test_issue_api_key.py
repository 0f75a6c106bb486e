"""`issue_api_key` prints a key that works, and says what is wrong otherwise."""

import getpass

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ops.models import ApiClient, ApiKey, AuditEntry


def test_the_printed_key_opens_the_api(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("issue_api_key", "tour")
    token = capsys.readouterr().out.strip()

    response = Client().get("/api/v1/accounts", headers={"authorization": f"Bearer {token}"})

    assert response.status_code == 200
    assert "ops:read" not in ApiKey.objects.get().scopes


def test_who_made_the_client_and_its_keys_is_on_record(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("issue_api_key", "tour", "--scope", "payments:write", "--reach", "all")
    call_command("issue_api_key", "tour", "--scope", "accounts:read")

    client, keys = ApiClient.objects.get(), ApiKey.objects.order_by("id")
    entries = AuditEntry.objects.order_by("id")
    assert [(entry.action, entry.subject) for entry in entries] == [
        ("add_apiclient", f"apiclient:{client.pk}"),
        *[("issue_key", f"apikey:{key.prefix}") for key in keys],
    ]
    assert {(entry.actor, entry.outcome) for entry in entries} == {(f"command:{getpass.getuser()}", "done")}
    assert entries[0].detail == {"name": "tour", "reach": "all"}
    assert (entries[1].detail["client"], entries[1].detail["scopes"]) == ("tour", ["payments:write"])
    assert not any(token in str(list(entries.values())) for token in capsys.readouterr().out.split())


def test_a_second_key_is_for_the_same_client(db: None) -> None:
    call_command("issue_api_key", "tour", "--scope", "accounts:read", "--reach", "all")
    call_command("issue_api_key", "tour", "--days", "1")
    assert ApiClient.objects.get().reach == "all"
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["not a slug"], "No key was issued"),
        (["tour", "--scope", "everything"], "There is no scope everything"),
        (["tour", "--days", "0"], "--days must lie between 1 and 366"),
    ],
)
def test_what_is_wrong_is_said_and_no_key_is_issued(db: None, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("issue_api_key", *arguments)
    assert not ApiKey.objects.exists()
    assert not ApiClient.objects.exists()
    assert not AuditEntry.objects.exists()
