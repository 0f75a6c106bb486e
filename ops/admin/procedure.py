"""An emergency procedure as a dialog: a form that asks why, a preview that lists exactly what would be done, and a
confirmation that has just that done, once: at once where it is urgent and short, by a job where it may take long, and
after a second person's approval where it is sensitive. Either way a report stays, among the jobs.

Ending sessions and resetting pools are done at once: they are asked for when workers and queues may be what stands
still. All that goes through tables is a job.

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
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ops.access.fresh import require_fresh
from ops.admin.audited import require_permission
from ops.admin.managed import NotDone, ReasonForm
from ops.admin.once import Once
from ops.admin.readonly import ReadOnlyAdmin
from ops.approvals.asking import AlreadyAsked, ask
from ops.approvals.persons import Person
from ops.approvals.registry import CannotDo
from ops.audit.record import REFUSED, record, staff_actor
from ops.conf import get_settings
from ops.detectors.looking import CannotLook
from ops.html import page_of
from ops.jobs import asking
from ops.timeouts import within

SALT = "ops.admin.procedure"
CONFIRM_WITHIN = 300
"""Seconds for which a preview counts."""
ASKED = "It is asked for, and nothing was done yet: somebody else who may has to approve it."
LONGEST = 40.0
"""Seconds that a procedure gets, or DEADLOCK_OPERATION_TIMEOUT where that is less: nothing else ends a request, but
proxies and browsers commonly wait for 60."""


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

    def two_persons(self, data: dict[str, Any]) -> str:
        """The sensitive action (`ops.approvals`) that it is, and hence somebody else has to approve; "" where one
        person may."""
        return ""

    def input(self, data: dict[str, Any], chosen: Any) -> dict[str, Any]:
        """What the job, or the sensitive action, is given; JSON-ready."""
        return data


class AtOnce(Procedure):
    """Short, and perhaps urgent: done in the request."""

    @abstractmethod
    def carry_out(self, data: dict[str, Any], chosen: Any, *, actor: str, reason: str) -> Sequence[str]:
        """Does what was listed, and returns what it did, a line for each thing.

        Raises:
            NotDone: nothing was done, and why.
        """


class ByJob(Procedure):
    """Done by a worker, with progress, log and report on the job's page."""

    job: ClassVar[str]
    """The job action (`ops.jobs`)."""


def run(admin: ReadOnlyAdmin, request: HttpRequest, procedure: Procedure, *, back: str) -> HttpResponse:
    """The dialog's page for this request. `back` is the URL of the page that it was begun from."""
    require_permission(request, procedure.permission, procedure.action, procedure.subject)
    if request.method == "POST":
        require_fresh(request)
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
            context |= {"plan": plan, "reason": reason, "note": note, "asks": bool(procedure.two_persons(data))}
            return admin.render(request, "ops/procedure_preview.html", context)
    return admin.render(request, "ops/procedure.html", {**context, "form": form})


def _confirm(admin: ReadOnlyAdmin, request: HttpRequest, procedure: Procedure, back: str) -> HttpResponse:
    note = _open(request, procedure)
    if note is None:
        messages.warning(request, "Nothing was done: that preview is too old or was used before. Look again.")
        return HttpResponseRedirect(request.path)
    if sensitive := procedure.two_persons(note["data"]):
        return _ask(request, procedure, sensitive, note, back)
    if isinstance(procedure, ByJob):
        return _start(request, procedure, note)
    assert isinstance(procedure, AtOnce), "a procedure is one of the two"
    return _do(admin, request, procedure, note, back)


def _ask(request: HttpRequest, procedure: Procedure, sensitive: str, note: dict[str, Any], back: str) -> HttpResponse:
    """Puts it before a second person."""
    command = procedure.input(note["data"], note["chosen"])
    try:
        with _bounded():
            approval = ask(
                sensitive, command, subject=procedure.subject, reason=note["reason"], by=Person.of(request)
            )
    except AlreadyAsked as error:
        messages.warning(request, str(error))
        return HttpResponseRedirect(page_of("ops.approval", error.approval.pk))
    except (CannotDo, CannotLook, DatabaseError) as error:
        messages.error(request, f"Nothing was asked for: {str(error).strip()[:300]}")
        return HttpResponseRedirect(back)
    messages.success(request, ASKED)
    return HttpResponseRedirect(page_of("ops.approval", approval.pk))


def _start(request: HttpRequest, procedure: ByJob, note: dict[str, Any]) -> HttpResponse:
    """Makes the job, with its entry in the audit, and then tells a worker."""
    data = procedure.input(note["data"], note["chosen"])
    with transaction.atomic():
        job = asking.make(
            procedure.job,
            subject=procedure.subject,
            input=data,
            reason=note["reason"],
            actor=staff_actor(request.user),
        )
        detail = {"job": job.pk, "input": data}
        start = f"start_{procedure.action}"
        record(request, action=start, subject=procedure.subject, reason=note["reason"], detail=detail)
    if not asking.send(job):
        messages.warning(request, asking.NOT_SENT)
    return HttpResponseRedirect(page_of("ops.job", job.pk))


def _do(
    admin: ReadOnlyAdmin, request: HttpRequest, procedure: AtOnce, note: dict[str, Any], back: str
) -> HttpResponse:
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
    with transaction.atomic():
        record(request, **entry, detail={**data, "report": list(report)})
        kept = asking.keep_report(**entry, input=data, actor=actor, report=report)
    context = {"title": procedure.button, "report": report, "back": back, "kept": kept}
    return admin.render(request, "ops/procedure_report.html", context)


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
