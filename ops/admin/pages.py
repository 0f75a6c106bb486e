"""What all pages of our own in the admin have in common."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin


class PagesAdmin(ModelAdmin):
    """Further pages of a model, for those who may view it."""

    def require_view(self, request: HttpRequest, *, also: tuple[str, ...] = ()) -> HttpResponse | None:
        """None when the list or page may be shown, else the answer to give. `also` are methods beside GET and HEAD.

        Raises:
            PermissionDenied: the user may not see it.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        methods = ["GET", "HEAD", *also]
        return None if request.method in methods else HttpResponseNotAllowed(methods)

    def render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        """A page of the admin with its frame. Its heading is the title alone: the side bar says where it is."""
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})
