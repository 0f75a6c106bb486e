"""An emergency procedure as a dialog: a form that asks why, a preview that lists exactly what would be done, and a
confirmation that does just that, once, and shows what came of it.

The preview hands the browser a signed note of what it listed; without one nothing is done, so that no request skips
the look, and what was not listed is not touched.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core import signing
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ops.admin.audited import require_permission
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.once import Once
from ops.admin.readonly import ReadOnlyAdmin
from ops.audit.record import REFUSED, record, staff_actor
from ops.conf import get_settings
from ops.detectors.looking import CannotLook
from ops.timeouts import within

SALT = "ops.admin.procedure"
CONFIRM_WITHIN = 300
"""Seconds for which a preview counts."""
LONGEST = 40.0
"""Seconds that a procedure gets; the web server ends a request after 60."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done: a line for each thing. `chosen` is JSON-ready and comes back with the confirmation;
    `spared` are lines on what is left alone. Without lines there is nothing to confirm."""

    lines: Sequence[str]
    chosen: Any = None
    spared: Sequence[str] = ()


class Procedure(ABC):
    """One emergency procedure, on one subject."""

    action: ClassVar[str]
    """Its name in the audit."""
    permission: ClassVar[str]
    button: ClassVar[str]
    about: ClassVar[str]
    form: ClassVar[type[forms.Form]] = ReasonForm
    """What is asked: the reason, and what else has to be known, JSON-ready when it is cleaned."""
    command: ClassVar[str]
    """The command that does the same without a limit of time."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What it is about, as the audit names it."""

    @abstractmethod
    def plan(self, data: dict[str, Any]) -> Plan:
        """What would be done now; changes nothing.

        Raises:
            NotDone: it cannot be done, and why.
        """

    @abstractmethod
    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        """Does what was listed, and returns what it did, a line for each thing.

        Raises:
            NotDone: nothing was done, and why.
        """


def run(admin: ReadOnlyAdmin, request: HttpRequest, procedure: Procedure, *, back: str) -> HttpResponse:
    """The dialog's page for this request. `back` is the URL of the page that it was begun from."""
    require_permission(request, procedure.permission, procedure.action, procedure.subject)
    if request.method == "POST" and "confirmed" in request.POST:
        return _confirm(admin, request, procedure, back)
    form = procedure.form(request.POST or None)
    context = {"title": procedure.button, "procedure": procedure, "back": back}
    if request.method == "POST" and form.is_valid():
        data = dict(form.cleaned_data)
        reason = data.pop("reason")
        try:
            with _bounded():
                plan = procedure.plan(data)
        except (NotDone, CannotLook, DatabaseError) as error:
            form.add_error(None, _told(error, procedure))
        else:
            note = _sign(request, procedure, {"data": data, "reason": reason, "chosen": plan.chosen})
            return admin.render(
                request, "ops/procedure_preview.html", {**context, "plan": plan, "reason": reason, "note": note}
            )
    return admin.render(request, "ops/procedure.html", {**context, "form": form})


def _confirm(admin: ReadOnlyAdmin, request: HttpRequest, procedure: Procedure, back: str) -> HttpResponse:
    note = _open(request, procedure)
    if note is None:
        messages.warning(request, "Nothing was done: that preview is too old or was used before. Look again.")
        return HttpResponseRedirect(request.path)
    data, reason, actor = note["data"], note["reason"], staff_actor(request.user)
    entry = {"action": procedure.action, "subject": procedure.subject, "reason": reason}
    try:
        with _bounded():
            report = procedure.carry_out(data, note["chosen"], actor=actor, reason=reason)
    except (NotDone, CannotLook, DatabaseError) as error:
        told = _told(error, procedure)
        record(request, **entry, outcome=REFUSED, detail={**data, "message": told})
        messages.error(request, told)
        return HttpResponseRedirect(back)
    record(request, **entry, detail={**data, "report": list(report)})
    return admin.render(
        request, "ops/procedure_report.html", {"title": procedure.button, "report": report, "back": back}
    )


def _bounded() -> AbstractContextManager[None]:
    """An admin action that lasts longer than DEADLOCK_OPERATION_TIMEOUT counts as stuck."""
    return within(min(LONGEST, get_settings().deadlock_operation_timeout))


def _told(error: Exception, procedure: Procedure) -> str:
    if isinstance(error, NotDone):
        return str(error)
    return (
        f"It was not finished: {str(error).strip()[:300]}. {procedure.command} does the same from the command line."
    )


def _sign(request: HttpRequest, procedure: Procedure, content: dict[str, Any]) -> str:
    ticket = Once(request, procedure.action).new()
    return signing.dumps({**content, **_for(request, procedure), "ticket": ticket}, salt=SALT, compress=True)


def _open(request: HttpRequest, procedure: Procedure) -> dict[str, Any] | None:
    """What a preview noted for this person and procedure, if it is fresh and used for the first time."""
    try:
        note = signing.loads(request.POST["confirmed"], salt=SALT, max_age=CONFIRM_WITHIN)
    except signing.BadSignature:
        return None
    meant = all(note.get(key) == value for key, value in _for(request, procedure).items())
    return note if meant and Once(request, procedure.action).use(note["ticket"]) else None


def _for(request: HttpRequest, procedure: Procedure) -> dict[str, str]:
    return {"who": staff_actor(request.user), "action": procedure.action, "subject": procedure.subject}
