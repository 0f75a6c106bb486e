"""Callers of the operations endpoints, whose answers are held against their schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from django.test import Client
from jsonschema import Draft202012Validator

from ops.endpoints import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {entry.path: entry.schema for entry in ENDPOINTS if entry.schema}


class Operator:
    """Calls from the machine itself, unless told otherwise."""

    def __init__(self, http: Client | None = None) -> None:
        self.http = http or Client(SERVER_NAME="localhost")

    def get(self, path: str, **headers: str) -> HttpResponse:
        answer = self.http.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        require_documented(path, answer)
        return answer  # type: ignore[return-value]

    def component(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = self.get(f"/health/{name}").json()
        return told


def require_documented(path: str, answer: Any) -> None:
    """A JSON answer has the documented shape: that of its endpoint, or of a problem."""
    schema = SCHEMAS.get(path.partition("?")[0].rstrip("/"))
    if answer["Content-Type"] == "application/problem+json":
        schema = "problem"
    if schema:
        validator(schema).validate(answer.json())


@cache
def validator(name: str) -> Draft202012Validator:
    document = json.loads((ROOT / "docs/operations.schema.json").read_text())
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": document["$defs"]})
