"""Showing a command's form, and sending it to the executor."""

from typing import Any

import structlog
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from msgspec.structs import replace

from accounts.admin.cells import account_url, balances, hold_url, transaction_url
from accounts.admin.commands.advice import ADVICE, BUSY, FIELD_OF_CODE, NOTHING_DONE, UNKNOWN
from accounts.admin.commands.confirming import was_seen, what_would_be
from accounts.admin.commands.forms import CommandForm
from accounts.admin.commands.pages import CommandPage
from accounts.admin.commands.second_person import ask_for, why_two
from accounts.admin.commands.subject import Subject
from accounts.domain.commands import Command
from accounts.domain.errors import ErrorCode, Refusal
from accounts.domain.money import format_minor
from accounts.refusals import in_full
from accounts.services import Envelope, Executed, execute_one, idempotency_key, would_execute
from accounts.services.approvals import permissions
from eventstore.errors import OutcomeUnknown, StoreBusy
from eventstore.events import Context
from ops.access.address import client_address
from ops.access.fresh import require_fresh
from ops.access.trace import correlation_id, request_id, traceparent
from ops.admin.readonly import ReadOnlyAdmin
from ops.approvals.registry import CannotDo
from ops.audit.record import DONE, REFUSED, record, staff_actor
from ops.html import link

logger = structlog.get_logger(__name__)


def require_permission(request: HttpRequest, page: CommandPage, subject_label: str) -> None:
    """
    Raises:
        PermissionDenied: the user may not give this command; what was tried by POST is recorded.
    """
    if request.user.has_perms(["accounts.view_account", page.permission]):
        return
    if request.method == "POST":
        reason = str(request.POST.get("reason", ""))[:500]
        detail = {"code": ErrorCode.PERMISSION_DENIED}
        record(request, action=page.name, subject=subject_label, reason=reason, outcome=REFUSED, detail=detail)
    raise PermissionDenied


def command_view(admin: ReadOnlyAdmin, request: HttpRequest, page: CommandPage, subject: Subject) -> HttpResponse:
    """GET shows the form; POST gives the command, and shows the form again where it is refused. What touches other
    accounts than the form's own is shown first, and given by a second POST."""
    if request.method in ("GET", "HEAD"):
        return _show(admin, request, page, subject, page.form(subject))
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    form = page.form(subject, request.POST)
    if not form.is_valid() or "change" in request.POST:
        return _show(admin, request, page, subject, form)
    if page.asks_again:
        require_fresh(request)
    try:
        command = form.command()
        for permission in permissions(command):
            if not request.user.has_perm(permission):
                told = f"To pay another account takes the permission {permission}."
                raise Refusal(ErrorCode.PERMISSION_DENIED, told, field="target_account_id")
        envelope = _envelope(request, form, command)
        why, day_limit = why_two(request, command)
        seen = not form.touches_others or was_seen(request, envelope)
        if why or not seen:
            would = would_execute(envelope)
            if not would.replayed:  # what had been done is answered as it was then
                if not seen:
                    return _show_what_would_be(admin, request, page, form, envelope, would, why)
                return ask_for(request, page, form, command, why or "", back=_back(subject))
        try:
            executed = execute_one(replace(envelope, day_limit=day_limit))
        except Refusal as refusal:
            if refusal.code is not ErrorCode.PERMISSION_DENIED:
                raise
            # more of theirs was done since it was looked up
            return ask_for(request, page, form, command, refusal.message, back=_back(subject))
    except CannotDo as refusal:
        form.add_error(None, str(refusal))
        return _show(admin, request, page, subject.read_again(), form)
    except Refusal as refusal:
        _record(request, page, form, outcome=REFUSED, detail={"code": refusal.code, "message": refusal.message})
        subject = subject.read_again()
        _explain(form, refusal)
        return _show(admin, request, page, subject, form)
    except (StoreBusy, OutcomeUnknown) as error:
        logger.warning("command_not_confirmed", command=page.name, subject=subject.label, error=str(error))
        form.add_error(None, UNKNOWN if isinstance(error, OutcomeUnknown) else BUSY)
        return _show(admin, request, page, subject, form, status=503)
    _record(request, page, form, outcome=DONE, detail=_what_was_done(executed))
    _tell(request, page, executed)
    if subject.transaction_id:
        return HttpResponseRedirect(transaction_url(executed.transaction_id))
    return HttpResponseRedirect(_page_of(subject) or account_url(executed.result["accounts"][0]["id"]))


def _envelope(request: HttpRequest, form: CommandForm, command: Command) -> Envelope:
    actor = staff_actor(request.user)
    data = form.cleaned_data
    context = Context(
        actor=actor,
        source="admin",
        reason=data["reason"],
        request_id=request_id(request),
        correlation_id=correlation_id(request),
        traceparent=traceparent(request),
        address=client_address(request),
    )
    key = idempotency_key(scope=actor, key=str(data["idempotency_key"]), command=command)
    return Envelope(command, context, key, expected_version=data.get("expected_version"))


def _explain(form: CommandForm, refusal: Refusal) -> None:
    """Puts the refusal where it belongs on the form."""
    named = form.refusal_fields.get(refusal.field or "", refusal.field) or FIELD_OF_CODE.get(refusal.code)
    field = named if named in form.fields and not form.fields[named].widget.is_hidden else None
    facts = [in_full(refusal, names_account=form.touches_others), NOTHING_DONE, ADVICE.get(refusal.code, "")]
    if refusal.code is ErrorCode.IDEMPOTENCY_KEY_REUSED:
        form.show_anew(idempotency_key=form.fields["idempotency_key"].initial())
    form.add_error(field, " ".join(fact for fact in facts if fact))


def _tell(request: HttpRequest, page: CommandPage, executed: Executed) -> None:
    account = executed.result["accounts"][0]
    name, words = ("available", "Available are") if "hold" in executed.result else ("balance", "The balance is")
    figure = f"{format_minor(account[name], account['currency'])} {account['currency']}"
    first = f"{page.title}: had been done before, and once only." if executed.replayed else f"{page.title}: done."
    to_it = link(transaction_url(executed.transaction_id), "See the transaction")
    messages.success(request, format_html("{} {} {}. {}", first, words, figure, to_it))


def _what_was_done(executed: Executed) -> dict[str, Any]:
    return {
        "transaction_id": str(executed.transaction_id),
        "accounts": [account["id"] for account in executed.result["accounts"]],
        "replayed": executed.replayed,
    }


def _record(
    request: HttpRequest, page: CommandPage, form: CommandForm, *, outcome: Any, detail: dict[str, Any]
) -> None:
    """After the outcome: the event's own metadata is the first record, and must not be made to look undone."""
    subject = form.subject.label
    if outcome is DONE and form.subject.account is None:
        subject = f"account:{detail['accounts'][0]}"
    try:
        record(
            request,
            action=page.name,
            subject=subject,
            reason=form.cleaned_data["reason"],
            outcome=outcome,
            detail={**detail, "asked": _asked(form)},
        )
    except DatabaseError:
        logger.exception("audit_entry_not_written", action=page.name, subject=subject, detail=detail)


def _asked(form: CommandForm) -> dict[str, str]:
    """What stood in the form's visible fields."""
    hidden = ("idempotency_key", "expected_version", "reason")
    return {name: str(value) for name, value in form.cleaned_data.items() if name not in hidden}


def _page_of(subject: Subject) -> str | None:
    """The page that the form was reached from; None for one about nothing yet."""
    if subject.transaction_id is not None:
        return transaction_url(subject.transaction_id)
    if subject.hold is not None:
        return hold_url(subject.hold.pk)
    return account_url(subject.account.pk) if subject.account else None


def _back(subject: Subject) -> str:
    return _page_of(subject) or reverse("admin:accounts_account_changelist")


def _show_what_would_be(
    admin: ReadOnlyAdmin,
    request: HttpRequest,
    page: CommandPage,
    form: CommandForm,
    envelope: Envelope,
    would: Executed,
    why: str | None,
) -> HttpResponse:
    context = {
        "title": f"{page.title} · {form.subject.account.owner if form.subject.account else 'look first'}",
        "page": page,
        "form": form,
        "why_two": why,
        "cancel_url": _back(form.subject),
        **what_would_be(form, envelope, would),
    }
    return admin.render(request, "accounts/confirm.html", context)


def _show(
    admin: ReadOnlyAdmin,
    request: HttpRequest,
    page: CommandPage,
    subject: Subject,
    form: CommandForm,
    *,
    status: int = 200,
) -> HttpResponse:
    account = subject.account
    if form.is_bound and account is not None and "expected_version" in form.fields:
        form.show_anew(expected_version=account.version)  # the one whose state the page shows from here on
    context = {
        "title": f"{page.title} · {account.owner}" if account else page.title,
        "page": page,
        "form": form,
        "account": account,
        "figures": balances(account) if account else None,
        "transaction_id": subject.transaction_id,
        "hold": subject.hold,
        "cancel_url": _back(subject),
    }
    response = admin.render(request, "accounts/command.html", context)
    response.status_code = status
    return response
