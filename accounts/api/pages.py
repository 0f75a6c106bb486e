"""Pages for people: the documentation, and what each problem means."""

from typing import Any

from csp.decorators import csp_update
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotAuthenticated, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ApiView
from accounts.api.catalogue import KINDS
from accounts.api.problems import type_uri
from accounts.domain.errors import ErrorCode
from ops.access.authentication import ApiKeyAuthentication
from ops.access.permissions import IsStaffOrApiClient


@method_decorator(csp_update({"img-src": ["data:"]}), name="dispatch")
class Docs(SpectacularSwaggerSplitView):
    """Swagger UI. Its script is a file of its own, so that the page needs no inline script; it draws its signs from
    data: images."""

    url_name = "api-v1:schema"
    template_name = "api/docs.html"

    def handle_exception(self, exc: Exception) -> Response | HttpResponse:  # type: ignore[override]
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path(), reverse("admin:login"))
        answer: Response = super().handle_exception(exc)
        return answer


class Problem(ApiView):
    """Where the `type` of a problem leads: what the code means, and what to do about it."""

    authentication_classes = [ApiKeyAuthentication, SessionAuthentication]
    permission_classes = [IsStaffOrApiClient]

    @extend_schema(exclude=True)
    def get(self, request: Request, code: str) -> Response:
        try:
            known = ErrorCode(code)
        except ValueError:
            raise NotFound("There is no such problem.") from None
        return Response(_explained(known))


class ProblemList(Problem):
    """All codes."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:  # type: ignore[override]
        return Response({"problems": [_explained(code) for code in KINDS]})


def _explained(code: ErrorCode) -> dict[str, Any]:
    kind = KINDS[code]
    return {
        "type": type_uri(code),
        "code": code.value,
        "status": kind.status,
        "title": kind.title,
        "remedy": kind.remedy,
    }
