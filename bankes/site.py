"""The bank's admin site. (Outside of the packages named `admin`: registering their models asks for the site.)"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from unfold.sites import UnfoldAdminSite

from ops.audit.record import record, staff_actor


class BankSite(UnfoldAdminSite):
    """The theme's site, less its search over all models (it scans tables), plus a record of changed passwords."""

    site_title = site_header = "bankes"
    index_title = "Overview"
    enable_nav_sidebar = True

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [url for url in super().get_urls() if getattr(url, "name", None) != "search"]

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302:
            actor = staff_actor(request.user)
            record(request, action="change_own_password", subject=actor, reason="changed the own password")
        return response
