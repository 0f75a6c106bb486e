"""Ordinary forms of the admin whose changes need a reason and are recorded with it, in the same transaction."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from ops.access.fresh import require_fresh
from ops.admin.titles import title_of
from ops.audit import viewings
from ops.audit.record import REFUSED, record

MAX_REASON_LENGTH = 500


def reason_field() -> forms.CharField:
    """Why: asked by every form that changes something."""
    return forms.CharField(
        label="Reason",
        max_length=MAX_REASON_LENGTH,
        help_text="Why, in your own words. It is kept with your name, for good.",
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        error_messages={"required": "Say why: the reason is kept with the change."},
    )


def require_permission(request: HttpRequest, permission: str, action: str, subject: str) -> None:
    """
    Raises:
        PermissionDenied: the user may not; what was tried by POST is recorded.
    """
    if request.user.has_perm(permission):
        return
    if request.method == "POST":
        reason = str(request.POST.get("reason", ""))[:MAX_REASON_LENGTH]
        detail = {"code": "permission_denied"}
        record(request, action=action, subject=subject, reason=reason, outcome=REFUSED, detail=detail)
    raise PermissionDenied


class ReasonMixin(forms.Form):
    """Adds the question why to a model's form."""

    reason = reason_field()


class AuditedAdmin(ModelAdmin):
    """Additions and changes are recorded; nothing is deleted. Its forms include `ReasonMixin`."""

    actions: Any = None
    list_title: ClassVar[str] = ""
    """See `title_of`."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look is not asked why."""
        fieldsets = list(super().get_fieldsets(request, obj))
        if self.has_change_permission(request, obj) if obj else self.has_add_permission(request):
            return fieldsets
        without = [(name, {**o, "fields": [f for f in o["fields"] if f != "reason"]}) for name, o in fieldsets]
        return [(name, options) for name, options in without if options["fields"]]

    needs_fresh_sign_in: ClassVar[bool] = False
    """Whether additions and changes ask for the sign-in again: before the form, since it may take passwords."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if self.needs_fresh_sign_in and self._may_send(request, object_id):
            require_fresh(request)
        response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return response

    def _may_send(self, request: HttpRequest, object_id: str | None) -> bool:
        return self.has_change_permission(request) if object_id else self.has_add_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Nothing is done from a list: it is only looked at, which is noted."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        titled = {"title": title_of(self), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, titled)
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown:
            filters = {name: request.GET[name] for name in request.GET}
            viewings.note(request, what=self.opts.label_lower, filters=filters, rows=len(shown["cl"].result_list))
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponse(status=404)  # the audit entries are the history

    # Django calls these two inside the transaction of the change; bulk and related changes go through them too.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, f"add_{self.opts.model_name}", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, f"change_{self.opts.model_name}", obj, message)
        return super().log_change(request, obj, message)

    def _record(self, request: HttpRequest, action: str, obj: Any, message: Any) -> None:
        reason = str(request.POST.get("reason", "")).strip()[:MAX_REASON_LENGTH]
        detail = {"name": str(obj), "changes": self.audit_detail(obj, message)}
        record(request, action=action, subject=f"{self.opts.model_name}:{obj.pk}", reason=reason, detail=detail)

    def audit_detail(self, obj: Any, message: Any) -> Any:
        """JSON-ready: what the entry says of the change, beyond Django's list of changed fields."""
        return message
