"""What a caller may do once it is known who it is."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ops.models import ApiClient, ApiKey

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module, through the settings


class HasScope(BasePermission):
    """An API key with one of the scopes that the view asks for.

    A view declares `required_scopes = {"GET": ("accounts:read",)}`: any one of them is enough. A method that it
    offers and declares no scopes for is closed to everyone.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        method = "GET" if request.method == "HEAD" else request.method
        if method not in view.allowed_methods:
            return True  # nothing to protect: the answer will be 405
        wanted = getattr(view, "required_scopes", {}).get(method, ())
        self.message = (
            f"The API key lacks the scope {' or '.join(wanted)}." if wanted else "This is closed to API keys."
        )
        return not set(request.auth.scopes).isdisjoint(wanted)


class IsStaffOrApiClient(BasePermission):
    """Someone of the bank, signed in, or any working API key."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        user = request.user
        if isinstance(user, ApiClient):
            return True
        return bool(user and user.is_active and user.is_staff)


VIEW_OPERATIONS = "ops.view_operations"
RUN_CLEANUP = "ops.run_cleanup"
END_SESSIONS = "ops.end_sessions"
RESET_POOL = "ops.reset_pool"
EXPORT_LISTS = "ops.export_lists"
"""Of staff: see `ops.access.models`."""
