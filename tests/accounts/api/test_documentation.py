"""The OpenAPI document and its page."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client, override_settings
from jsonschema import Draft202012Validator

from accounts.api.bodies import COMMAND_BODIES
from accounts.domain.errors import ErrorCode
from ops.conf import get_settings
from tests.accounts.api.caller import Caller, openapi
from tests.bank import Bank
from tests.staff import signed_in


@pytest.fixture
def staff(bank: Bank) -> Client:
    return signed_in(User.objects.create_user("ann", password="a long password 1", is_staff=True))


@pytest.fixture
def _plain_static_files() -> Any:
    """The page names files that are there; their hashed names are made when the bank is started."""
    storages = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    with override_settings(STORAGES=storages):
        yield


def test_the_document_is_valid_and_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))

    assert openapi()["openapi"].startswith("3.1")


def test_every_command_has_an_example_that_its_schema_takes() -> None:
    operations = [op for path in openapi()["paths"].values() for op in path.values() if "requestBody" in op]
    assert {op["operationId"] for op in operations} >= {body.name for body in COMMAND_BODIES} - {
        "freeze",
        "unfreeze",
        "close",
        "release_hold",
    }

    for operation in operations:
        (content,) = operation["requestBody"]["content"].values()
        validator = Draft202012Validator({**content["schema"], "components": openapi()["components"]})
        assert content["examples"]
        for example in content["examples"].values():
            validator.validate(example["value"])


def test_it_says_for_how_long_a_key_is_remembered() -> None:
    hours = f"{get_settings().idempotency_retention_hours} hours"
    assert hours in openapi()["info"]["description"]
    for path, method in (("/api/v1/accounts", "post"), ("/api/v1/batches", "post")):
        parameters = openapi()["paths"][path][method]["parameters"]
        [key] = [parameter for parameter in parameters if parameter["name"] == "Idempotency-Key"]
        assert f"remembered for {hours}" in key["description"]


def test_an_outcome_of_a_batch_tells_all_that_a_command_alone_tells() -> None:
    schemas = openapi()["components"]["schemas"]
    assert schemas["CommandResult"]["properties"].keys() <= schemas["Outcome"]["properties"].keys()


def test_commands_document_their_headers_and_problems() -> None:
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            named = {parameter["name"] for parameter in operation["parameters"]}
            if method != "get" and "webhooks" not in operation["tags"]:  # those move no money and take no key
                assert "Idempotency-Key" in named, path
                assert (
                    "Idempotent-Replayed"
                    in operation["responses"]["201" if path.endswith(("accounts", "holds")) else "200"]["headers"]
                )
                assert {"400", "401", "403", "409", "503"} <= set(operation["responses"])
            assert "application/problem+json" in operation["responses"]["401"]["content"]
            assert operation["security"] == [{"apiKey": operation["security"][0]["apiKey"]}]


def test_the_codes_are_published() -> None:
    assert openapi()["components"]["schemas"]["ErrorCode"]["enum"] == [code.value for code in ErrorCode]


def test_routes_are_named_once_and_without_a_slash_at_the_end() -> None:
    assert all(not path.endswith("/") for path in openapi()["paths"])


def test_the_document_is_for_staff_and_clients_only(staff: Client, api: Caller) -> None:
    assert staff.get("/api/v1/schema").status_code == 200
    assert api.http.get("/api/v1/schema", headers={"Authorization": f"Bearer {api.token}"}).status_code == 200
    assert Client().get("/api/v1/schema").status_code == 401

    guest = signed_in(User.objects.create_user("guest", password="a long password 1"))
    assert guest.get("/api/v1/schema").status_code == 403


@pytest.mark.usefixtures("_plain_static_files")
def test_the_page_shows_itself_to_staff_and_sends_others_to_sign_in(staff: Client) -> None:
    page = staff.get("/api/docs/")
    assert page.status_code == 200

    answer = Client().get("/api/docs/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/api/docs/")


@pytest.mark.usefixtures("_plain_static_files")
def test_the_page_needs_no_script_that_its_policy_forbids(staff: Client) -> None:
    page = staff.get("/api/docs/")
    html = page.content.decode()

    scripts = re.findall(r"<script([^>]*)>([^<]*)</script>", html)
    assert len(scripts) == 3
    assert all("src=" in attributes and not inline.strip() for attributes, inline in scripts)
    assert "<style" not in html
    assert "script-src 'self'" in page["Content-Security-Policy"]
    for name in re.findall(r'(?:src|href)="/static/([^"]+)"', html):
        assert finders.find(name), name
    script = staff.get("/api/docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/v1/schema" in script.content.decode()
