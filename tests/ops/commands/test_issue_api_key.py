"""`issue_api_key` prints a key that works, and says what is wrong otherwise."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ops.models import ApiClient, ApiKey


def test_the_printed_key_opens_the_api(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("issue_api_key", "tour")
    token = capsys.readouterr().out.strip()

    response = Client().get("/api/v1/accounts", headers={"authorization": f"Bearer {token}"})

    assert response.status_code == 200
    assert "ops:read" not in ApiKey.objects.get().scopes


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
