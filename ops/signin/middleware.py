"""Ends sessions in time, on every request that brings one. A page that is asked for does not wait long for the
database to tell whose session it is: where PostgreSQL hangs, this is the first to notice."""

from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.db import Error
from django.http import HttpRequest, HttpResponse

from ops.signin import sessions
from ops.timeouts import within

LOOKED_UP_WITHIN = 5.0
"""Seconds, for session and user of somebody who looks at a page. (Who sends a form may wait as long as any command.)
It is one round trip or two."""


class SignedInMiddleware:
    """Whoever's session is over is anonymous from then on. It stands after messages and authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie nobody is signed in, and nothing has to be asked (nor `Vary: Cookie` to be said).
        if settings.SESSION_COOKIE_NAME in request.COOKIES and self._is_known(request):
            why = sessions.over(request.session)
            if why is None:
                sessions.note_activity(request)
            else:
                request.session.flush()
                request.user = AnonymousUser()
                messages.warning(request, why)
        return self.get_response(request)

    def _is_known(self, request: HttpRequest) -> bool:
        looks = request.method in ("GET", "HEAD")
        try:
            with within(LOOKED_UP_WITHIN) if looks else nullcontext():
                return bool(request.user.is_authenticated)
        except Error:
            request.user = AnonymousUser()  # else whoever logs the request would ask, and wait, once more
            raise
