"""Ends sessions in time, on every request that brings one."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from ops.signin import sessions


class SignedInMiddleware:
    """Whoever's session is over is anonymous from then on. It stands after messages and authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie nobody is signed in, and nothing has to be asked (nor `Vary: Cookie` to be said).
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            why = sessions.over(request.session)
            if why is None:
                sessions.note_activity(request)
            else:
                request.session.flush()
                request.user = AnonymousUser()
                messages.warning(request, why)
        return self.get_response(request)
