"""What serves people's pages: sessions and messages. A request to the API that comes with a key passes by it.

The key says who calls (`ops.access.authentication`), so that no session is looked for and no cookie set; what is left
out is a tenth of what Django takes for a request. A caller without a key goes through all of it: staff may read the
API's description by their session.
"""

from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse

from ops.access.keys import bearer_token
from ops.signin import middleware as signin


def _for_pages(middleware: type[Any]) -> type[Any]:
    def call(self: Any, request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = self.get_response(request) if _comes_with_key(request) else passed(self, request)
        return answer

    passed = middleware.__call__
    return type(middleware.__name__, (middleware,), {"__call__": call})


def _comes_with_key(request: HttpRequest) -> bool:
    return bearer_token(request.META) is not None and request.path_info.startswith("/api/v1/")


SessionMiddleware = _for_pages(sessions.SessionMiddleware)
AuthenticationMiddleware = _for_pages(auth.AuthenticationMiddleware)
MessageMiddleware = _for_pages(messages.MessageMiddleware)
SignedInMiddleware = _for_pages(signin.SignedInMiddleware)
