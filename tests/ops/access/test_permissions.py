"""HasScope: a view says which scopes it takes, and what it forgets to say is closed."""

import pytest
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from ops.access.permissions import HasScope, IsStaffOrApiClient
from ops.models import ApiClient, ApiKey


class View(APIView):
    required_scopes = {"GET": ("read", "admin"), "POST": ("write",)}

    def get(self, request: Request) -> Response: ...

    def post(self, request: Request) -> Response: ...

    def put(self, request: Request) -> Response: ...


def allowed(method: str, *scopes: str, key: bool = True) -> bool:
    view = View()
    asked = APIRequestFactory().generic(method, "/")
    view.setup(asked)
    request = view.initialize_request(asked)
    request.authenticators = ()
    request._auth = ApiKey(scopes=list(scopes)) if key else None
    request._user = ApiClient(name="acme")
    return HasScope().has_permission(request, view)


@pytest.mark.parametrize(
    ("method", "scopes", "expected"),
    [
        ("GET", ("read",), True),
        ("GET", ("admin",), True),
        ("HEAD", ("read",), True),
        ("HEAD", ("write",), False),
        ("GET", ("write",), False),
        ("GET", (), False),
        ("POST", ("write",), True),
        ("POST", ("read",), False),
        ("PUT", ("read", "write", "admin"), False),
    ],
)
def test_one_of_the_scopes_of_the_method_is_needed(method: str, scopes: tuple[str, ...], expected: bool) -> None:
    assert allowed(method, *scopes) is expected


def test_a_caller_without_a_key_has_no_scope() -> None:
    assert not any(allowed(method, key=False) for method in (*SAFE_METHODS, "POST", "DELETE"))


def test_staff_and_clients_are_told_from_everybody_else() -> None:
    from django.contrib.auth.models import AnonymousUser, User

    def welcome(user: object) -> bool:
        request = APIView().initialize_request(APIRequestFactory().get("/"))
        request.authenticators = ()
        request._user = user
        request._auth = None
        return IsStaffOrApiClient().has_permission(request, APIView())

    assert welcome(ApiClient(name="acme"))
    assert welcome(User(username="ann", is_staff=True))
    assert not welcome(User(username="ann", is_staff=True, is_active=False))
    assert not welcome(User(username="guest"))
    assert not welcome(AnonymousUser())
    assert not welcome(None)
