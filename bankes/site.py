"""The bank's admin site. (Outside of the packages named `admin`: registering their models asks for the site.)"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from unfold.sites import UnfoldAdminSite

from ops.audit.record import record, staff_actor
from ops.conf import get_settings
from ops.operations import operation


class BankSite(UnfoldAdminSite):
    """The theme's site, less its search over all models (it scans tables), plus a record of changed passwords."""

    site_title = site_header = "bankes"
    index_title = "Overview"
    enable_nav_sidebar = True

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [url for url in super().get_urls() if getattr(url, "name", None) != "search"]

    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Callable[..., HttpResponse]:
        """Every action of the admin is a registered operation, whichever model it is of. (To look is none.)"""
        guarded: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        @wraps(guarded)
        def registered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return guarded(request, *args, **kwargs)
            match = request.resolver_match
            with operation(
                "admin",
                (match.url_name if match else None) or request.path,
                timeout=get_settings().deadlock_operation_timeout,
                resources=[*args, *kwargs.values()],
                actor=staff_actor(request.user),
            ):
                return guarded(request, *args, **kwargs)

        return registered

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302:
            actor = staff_actor(request.user)
            record(request, action="change_own_password", subject=actor, reason="changed the own password")
        return response
