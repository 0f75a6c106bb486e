"""Pages that show and never change: whoever signs in, whatever is sent."""

from typing import Any, ClassVar

from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst

from ops.admin.pages import PagesAdmin


class ReadOnlyAdmin(PagesAdmin):
    """A list and a page for each row. There is no URL to add, change or delete, and no permission opens one.

    A subclass names `object_template` and gives it data by `object_context`.
    """

    object_template: ClassVar[str] = "ops/object.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", view(self.changelist_view), name=f"{name}_changelist"),
            *self.more_urls(),
            path("<path:object_id>/change/", view(self.change_view), name=f"{name}_change"),
        ]

    def more_urls(self) -> list[URLPattern]:
        """Further pages of the model, tried before the page of a row."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one row. (Django's name: links to it are made by that.)"""
        if (refused := self.require_view(request)) is not None:
            return refused
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        return self.render(
            request, self.object_template, {"row": obj, "title": str(obj), **self.object_context(request, obj)}
        )

    def object_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {"fields": self.object_fields(obj)}

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        """Name and value of each field, for `ops/object.html`."""
        return [(capfirst(str(f.verbose_name)), getattr(obj, f.attname)) for f in obj._meta.concrete_fields]
