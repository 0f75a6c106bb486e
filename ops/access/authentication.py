"""Bearer tokens for DRF: `request.user` is the `ApiClient`, `request.auth` its `ApiKey`."""

import structlog
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from ops.access.keys import InvalidKey, bearer_token, check_token
from ops.models import ApiClient, ApiKey


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer bk_<prefix>_<secret>`."""

    def authenticate(self, request: Request) -> tuple[ApiClient, ApiKey] | None:
        """
        Raises:
            AuthenticationFailed: there is an Authorization header, and it is not a working key.
        """
        if not request.META.get("HTTP_AUTHORIZATION"):
            return None
        token = bearer_token(request.META)
        if token is None:
            raise AuthenticationFailed("Send the API key as: Authorization: Bearer <key>.")
        try:
            key = check_token(token)
        except InvalidKey as error:
            raise AuthenticationFailed(str(error)) from None
        structlog.contextvars.bind_contextvars(actor=key.client.actor)
        return key.client, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="bankes"'
