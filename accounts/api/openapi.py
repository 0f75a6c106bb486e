"""How the OpenAPI document is made: hooks of drf-spectacular."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

import ops.access.openapi  # noqa: F401  # registers the description of API keys
from accounts.api.catalogue import KINDS
from accounts.domain.errors import ErrorCode

Endpoint = tuple[str, str, str, Any]
Schema = dict[str, Any]


class ScopedSchema(AutoSchema):
    """Names the scopes that an operation takes."""

    def get_auth(self) -> list[Any]:
        scopes = list(getattr(self.view, "required_scopes", {}).get(self.method, ()))
        return [dict.fromkeys(requirement, scopes) for requirement in super().get_auth()]


def one_path_each(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Every route answers with and without a trailing slash; the document names the one without."""
    return [endpoint for endpoint in endpoints if not endpoint[0].endswith("/")]


def publish_codes(result: Schema, **_: Any) -> Schema:
    """Adds the published enum of error codes, with what each means."""
    result["components"]["schemas"]["ErrorCode"] = {
        "type": "string",
        "enum": [code.value for code in ErrorCode],
        "description": "\n".join(
            f"* `{code.value}` ({kind.status}): {kind.title}. {kind.remedy}" for code, kind in KINDS.items()
        ),
    }
    return result
