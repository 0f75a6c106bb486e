"""The bank's admin site. (Outside of the packages named `admin`: registering their models asks for the site.)"""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, path, reverse
from unfold.sites import UnfoldAdminSite

from ops.access.fresh import answer_with_proof, require_fresh
from ops.access.policy import admin_policy
from ops.audit.record import record, staff_actor
from ops.conf import get_settings
from ops.operations import operation
from ops.overview import overview_state
from ops.signin import sessions
from ops.signin.preferences import time_zone_of
from ops.signin.urls import sign_in_urls
from ops.signin.views import SignIn, SignInForm
from ops.timeouts import within

FRONT_PAGE_WITHIN = 8.0
"""Seconds for all that the front page asks of PostgreSQL: some twenty statements of a millisecond or so."""
UNUSED = {"search", "autocomplete", "view_on_site"}
"""Routes that the theme and Django bring, and that no page of ours leads to."""


class BankSite(UnfoldAdminSite):
    """The theme's site, less its search over all models (it scans tables), plus a record of changed passwords."""

    site_title = site_header = "bankes"
    index_title = "Overview"
    enable_nav_sidebar = True

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = [url for url in super().get_urls() if getattr(url, "name", None) not in UNUSED]
        overview = path("overview/state/", self.admin_view(overview_state), name="overview_state")
        return [overview, *sign_in_urls(self), *own]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "time_zone": time_zone_of(request.user)}

    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Callable[..., HttpResponse]:
        """Every action of the admin is a registered operation, whichever model it is of. (To look is none.) One that
        asks for a fresh sign-in gets it here."""
        guarded: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        @wraps(guarded)
        def registered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            def answer() -> HttpResponse:
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

            return admin_policy(answer_with_proof(request, answer) if self.has_permission(request) else answer())

        return registered

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The front page. It is looked at when something is wrong: so it waits for nothing longer than a moment."""
        with within(FRONT_PAGE_WITHIN):
            response: Any = super().index(request, extra_context)
            response.render()
            return cast(HttpResponse, response)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's, with the second step behind it."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            **(extra_context or {}),
        }
        request.current_app = self.name
        view = SignIn.as_view(extra_context=context, authentication_form=SignInForm, template_name="admin/login.html")
        response: Any = view(request)
        return admin_policy(response)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        require_fresh(request)
        response: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and response.status_code == 302:
            assert isinstance(request.user, User)
            sessions.end_all(request.user, but=request.session)
            actor = staff_actor(request.user)
            record(request, action="change_own_password", subject=actor, reason="changed the own password")
        return response
