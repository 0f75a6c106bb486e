"""Rows that are read-only but for a few actions, each on a form that asks why."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from ops.access.fresh import require_fresh
from ops.admin.audited import reason_field, require_permission
from ops.admin.lists import KeysetAdmin
from ops.audit.record import REFUSED, record
from ops.html import page_of


class NotDone(Exception):
    """An action that did nothing; the message is for the person who asked for it."""


class ReasonForm(forms.Form):
    reason = reason_field()


class ManagedAdmin(KeysetAdmin):
    """Read-only rows of which some can be acted on, each time with a reason that is recorded."""

    object_template = "ops/managed.html"
    manage_permission: ClassVar[str]

    def act(
        self,
        request: HttpRequest,
        obj: Model | None,
        *,
        action: str,
        button: str,
        about: str,
        do: Callable[[str], str],
        back: str | None = None,
        sensitive: bool = False,
    ) -> HttpResponse:
        """The form that asks why; sent, it does `do(reason)` and tells what that returns, or why it was not done.
        `back` is where that is told: the row's page unless it is given, for a row that is gone afterwards.
        `sensitive`: only after a recent sign-in."""
        subject = f"{self.opts.model_name}:{obj.pk if obj else 'unknown'}"
        require_permission(request, self.manage_permission, action, subject)
        if obj is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        if sensitive and request.method == "POST":
            require_fresh(request)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            try:
                with transaction.atomic():
                    done = do(reason)
                    record(request, action=action, subject=subject, reason=reason, detail={"row": str(obj)})
            except NotDone as refusal:
                detail = {"row": str(obj), "message": str(refusal)}
                record(request, action=action, subject=subject, reason=reason, outcome=REFUSED, detail=detail)
                messages.error(request, str(refusal))
            else:
                messages.success(request, done)
            return HttpResponseRedirect(back or page_of(self.opts.label_lower, obj.pk))
        context = {"title": f"{button}: {obj}", "form": form, "about": about, "button": button}
        return self.render(request, "ops/act.html", {**context, "back": page_of(self.opts.label_lower, obj.pk)})

    def tools(self, request: HttpRequest, obj: Any) -> list[dict[str, str]]:
        """Buttons on the page of a row: label and URL."""
        return []

    def object_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        tools = self.tools(request, obj) if request.user.has_perm(self.manage_permission) else []
        return {**super().object_context(request, obj), "tools": tools}
