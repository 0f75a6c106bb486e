"""What all views of the API have in common."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.domain.errors import ErrorCode, Refusal


class ApiView(APIView):
    """A view declares `required_scopes` for each of its methods: see `ops.access.permissions.HasScope`."""

    http_method_names = ["get", "head", "post", "put"]  # no OPTIONS: browsers of other origins are not served


def body_of(request: Request) -> Any:
    """The parsed body; {} for none.

    Raises:
        Refusal: `malformed_request` for a body in chunks: WSGI would show it as empty.
        ParseError, UnsupportedMediaType, PayloadTooLarge: see `parsers`.
    """
    if "Transfer-Encoding" in request.headers:
        raise Refusal(ErrorCode.MALFORMED_REQUEST, "Send the body with its Content-Length, not in chunks.")
    return request.data
