"""A program that calls the API with a real key; every answer is held against the OpenAPI document."""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import orjson
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from jsonschema import Draft202012Validator

from accounts.api.scopes import ACCOUNTS_ADMIN, ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE
from ops.access.keys import issue_key
from ops.models import ApiClient

ALL_SCOPES = (ACCOUNTS_READ, ACCOUNTS_WRITE, PAYMENTS_WRITE, ACCOUNTS_ADMIN)
API = "/api/v1"
HTTP: type[Client] = Client
"""How requests are sent: the fixture `lane` has some files' tests run through the fast lane as well."""


@dataclass
class Caller:
    """Sends requests with its key; commands get a fresh Idempotency-Key unless `key` says otherwise."""

    token: str
    client: ApiClient
    http: Client = field(default_factory=lambda: HTTP())

    def get(self, path: str, query: dict[str, str] | None = None, **headers: str) -> HttpResponse:
        return self._send("GET", path, None, headers, query)

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> HttpResponse:
        return self._command("POST", path, body, key, headers)

    def put(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> HttpResponse:
        return self._command("PUT", path, body, key, headers)

    def open(self, balance: str = "0", *, currency: str = "EUR", **fields: str) -> str:
        """An account in this client's care; returns its id."""
        body = {"owner": "Ann", "currency": currency, "opening_deposit": balance, **fields}
        answer = self.post("/accounts", body)
        assert answer.status_code == 201, answer.content
        opened: str = answer.json()["accounts"][0]["id"]
        return opened

    def balance(self, account_id: str) -> str:
        balance: str = self.get(f"/accounts/{account_id}/balance").json()["balance"]
        return balance

    def _command(self, method: str, path: str, body: Any, key: str | None, headers: dict[str, str]) -> HttpResponse:
        named = {} if key is None else {"Idempotency_Key": key or str(uuid.uuid4())}
        return self._send(method, path, body, named | headers, None)

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str], query: dict[str, str] | None
    ) -> HttpResponse:
        given = {"Authorization": f"Bearer {self.token}"} | headers
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.http.generic(
            method,
            API + path,
            raw,
            content_type="application/json",
            query_params=query,
            headers={name.replace("_", "-"): value for name, value in given.items() if value},
        )
        require_documented(method, path, response)
        return response  # type: ignore[no-any-return]


def new_caller(name: str = "acme", *, reach: str = "own", scopes: tuple[str, ...] = ALL_SCOPES) -> Caller:
    client, _ = ApiClient.objects.get_or_create(name=name, defaults={"reach": reach})
    expires_at = timezone.now() + timedelta(days=1)
    _, token = issue_key(client=client, scopes=scopes, expires_at=expires_at, issued_by=None)
    return Caller(token, client)


@cache
def openapi() -> dict[str, Any]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    document: dict[str, Any] = orjson.loads(OpenApiJsonRenderer().render(schema))
    return document


@cache
def _routes() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path) + "/?"), path) for path in openapi()["paths"]]


def require_documented(method: str, path: str, response: HttpResponse) -> None:
    """The status, media type and body of an answer are those that the OpenAPI document promises."""
    route = next((template for pattern, template in _routes() if pattern.fullmatch(API + path)), None)
    operation = openapi()["paths"].get(route, {}).get(method.lower())
    if operation is None:
        assert response.status_code in (401, 403, 404, 405), "an answer to what is not documented"
        return
    documented = operation["responses"].get(str(response.status_code))
    assert documented, (
        f"{method} {route} answers {response.status_code}, which is not documented: {response.content!r}"
    )
    if response.status_code in (204, 304):
        assert response.content == b""
        return
    media = documented["content"].get(response["Content-Type"])
    assert media, f"{method} {route} answers {response['Content-Type']}, which is not documented"
    _validator(route or "", method.lower(), str(response.status_code), response["Content-Type"]).validate(
        response.json()
    )


@cache
def _validator(route: str, method: str, status: str, media_type: str) -> Draft202012Validator:
    schema = openapi()["paths"][route][method]["responses"][status]["content"][media_type]["schema"]
    return Draft202012Validator({**schema, "components": openapi()["components"]})


def refusal(response: HttpResponse) -> tuple[int, str]:
    """(status, code) of a problem."""
    body = response.json()
    assert response["Content-Type"] == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["request_id"] == response["X-Request-ID"]
    assert body["type"] == f"/problems/{body['code']}"
    return response.status_code, body["code"]


def fields_at_fault(response: HttpResponse) -> dict[str, str]:
    """{field: code} of a problem's field errors."""
    return {error["field"]: error["code"] for error in response.json().get("errors", [])}
