"""Approvals: what waits for a second person, and what came of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from ops.access.fresh import require_fresh
from ops.admin.audited import require_permission
from ops.admin.keyset import BY_ID, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter
from ops.admin.managed import ReasonForm
from ops.approvals.asking import withdraw
from ops.approvals.carrying_out import approved_of
from ops.approvals.deciding import NotDecided, approve, asker_lacks, may_decide, needed_for, refuse, what_changed
from ops.approvals.models import Approval
from ops.approvals.own import IssueKey
from ops.approvals.persons import Person
from ops.approvals.registry import CannotDo, sensitive
from ops.audit.record import staff_actor
from ops.detectors.looking import CannotLook
from ops.html import badge, link, page_of, pretty, when
from ops.timeouts import within

TONES = {"pending": "warn", "approved": "good", "refused": "bad", "stale": "bad"}
OUTCOME_TONES = {"done": "good", "failed": "bad", "collect": "warn"}
PREVIEW_WITHIN = 20.0
"""Seconds that the preview gets on the page."""


class ApprovalFilters(Filters):
    state = choice_filter("State", Approval.State.choices)
    whose = choice_filter("Asked by", [("mine", "Me"), ("others", "Others")])

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        """`whose` is known with the request: see `ApprovalAdmin.found`."""
        state = self.cleaned_data["state"]
        return (queryset.filter(state=state) if state else queryset), keyset


def state_badge(approval: Approval) -> object:
    if approval.outcome in OUTCOME_TONES and approval.state == Approval.State.APPROVED:
        return badge(f"Approved · {approval.get_outcome_display().lower()}", OUTCOME_TONES[approval.outcome])
    return badge(approval.get_state_display(), TONES.get(approval.state, "plain"))


def age(approval: Approval) -> str:
    """How long it has waited, or waited until it was decided."""
    seconds = int(((approval.decided_at or timezone.now()) - approval.asked_at).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def title_of(approval: Approval) -> str:
    try:
        return sensitive(approval.action).title
    except LookupError:
        return approval.action


def _said(approval: Approval) -> dict[str, Sequence[tuple[str, str]]]:
    """What the command says, and where to look before deciding on it."""
    try:
        action, command = sensitive(approval.action), approval.data
        return {"in_words": action.in_words(command), "pages": action.pages(command)}
    except (LookupError, ValueError):  # asked for by other code than today's, which knew other actions or fields
        return {}


@admin.register(Approval)
class ApprovalAdmin(KeysetAdmin):
    about = (
        "What one person asked for and another has to approve, newest first. Nobody approves what they asked for "
        "themselves; what has changed since it was asked for cannot be approved any more."
    )
    when_empty = "Nobody has asked for anything that takes two persons."
    object_template = "ops/approval.html"
    keyset = BY_ID
    filters = ApprovalFilters
    deferred = ("command", "preview", "versions", "result")
    columns = (
        Column("What", lambda row: link(page_of("ops.approval", row.pk), title_of(row))),
        Column("In short", lambda row: row.first_line),
        Column("State", state_badge),
        Column("Age", age, numeric=True),
        Column("Subject", lambda row: row.subject),
        Column("Asked by", lambda row: row.asked_by),
        Column("Because", lambda row: row.reason),
        Column("Decided by", lambda row: row.decided_by or "–"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        found = super().get_queryset(request).annotate(first_line=KeyTextTransform("0", "preview"))
        actor = staff_actor(request.user)
        own = {"mine": found.filter(asked_by=actor), "others": found.exclude(asked_by=actor)}
        return own.get(request.GET.get("whose", ""), found)

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:approval_id>/decide/", view(self.decide_view), name="ops_approval_decide"),
            path("<uuid:approval_id>/withdraw/", view(self.withdraw_view), name="ops_approval_withdraw"),
            path("<uuid:approval_id>/collect/", view(self.collect_view), name="ops_approval_collect"),
        ]

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        here = reverse("admin:ops_approval_changelist")
        return {"tools": [{"label": "Waiting, asked by others", "url": f"{here}?state=pending&whose=others"}]}

    def object_context(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        return {**_page(request, obj), "form": ReasonForm()}

    def decide_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """Approves or refuses, by the button that was pressed."""
        approval = self._asked(request, approval_id, "decide_approval")
        if request.method != "POST":
            return HttpResponseRedirect(page_of("ops.approval", approval.pk))
        for permission in needed_for(approval):
            require_permission(request, permission, f"approve_{approval.action}", approval.subject)
        require_fresh(request)
        decision, form = request.POST.get("decision"), ReasonForm(request.POST)
        if decision not in ("approve", "refuse") or not form.is_valid():
            context = {"row": approval, "title": str(approval), **_page(request, approval), "form": form}
            return self.render(request, self.object_template, context)
        decide = approve if decision == "approve" else refuse
        try:
            decided = decide(
                approval.pk,
                by=Person.of(request),
                reason=form.cleaned_data["reason"],
                digest=request.POST.get("digest", ""),
            )
        except NotDecided as why:
            messages.error(request, str(why))
        except (CannotDo, CannotLook) as why:
            messages.error(request, f"Nothing was done: {why}")
        else:
            _tell(request, decided)
        return HttpResponseRedirect(page_of("ops.approval", approval.pk))

    def withdraw_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        approval = self._asked(request, approval_id, "withdraw_approval")
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if withdraw(approval.pk, by=Person.of(request), reason="taken back by who asked"):
            messages.success(request, "It is withdrawn: nobody can approve it any more.")
        else:
            messages.error(request, "Nothing was changed: it is not yours, or was decided before.")
        return HttpResponseRedirect(page_of("ops.approval", approval.pk))

    def collect_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """The approved key, for the eyes of who asked for it: issued now, and shown this once."""
        approval = self._asked(request, approval_id, "collect_approval")
        action = sensitive(approval.action)
        if request.method != "POST" or not isinstance(action, IssueKey):
            return HttpResponseRedirect(page_of("ops.approval", approval.pk))
        require_permission(request, action.permission, action.name, approval.subject)
        require_fresh(request)
        person = Person.of(request)
        assert person.user is not None
        try:
            with transaction.atomic():
                _claim(approval, person)
                key, token = action.issue(approval.data, approved_of(approval), to=person.user)
                Approval.objects.filter(pk=approval.pk).update(
                    result=[f"The key {key.prefix}… was issued and its token shown to {person.actor}."],
                    result_url=page_of("ops.apikey", key.pk),
                )
                detail = {
                    "client": key.client.name,
                    "scopes": key.scopes,
                    "expires_at": key.expires_at.isoformat(),
                    "approval": str(approval.pk),
                    "approved_by": approval.decided_by,
                }
                subject = f"apikey:{key.prefix}"
                person.note(action=action.name, subject=subject, reason=approval.reason, done=True, detail=detail)
        except CannotDo as why:
            messages.error(request, str(why))
            return HttpResponseRedirect(page_of("ops.approval", approval.pk))
        return self.render(request, "ops/key_issued.html", {"title": "API key", "key": key, "token": token})

    def _asked(self, request: HttpRequest, approval_id: UUID, action: str) -> Approval:
        require_permission(request, "ops.view_approval", action, f"approval:{approval_id}")
        approval = Approval.objects.filter(pk=approval_id).first()
        if approval is None:
            raise Http404(f"There is no approval {approval_id}.")
        return approval


def _claim(approval: Approval, person: Person) -> None:
    """
    Raises:
        CannotDo: it is not this person's to collect, or was collected before.
    """
    waiting = Approval.objects.filter(
        pk=approval.pk,
        state=Approval.State.APPROVED,
        outcome=Approval.Outcome.COLLECT,
        asked_by=person.actor,
        expires_at__gt=timezone.now(),
    )
    if not waiting.update(outcome=Approval.Outcome.DONE, executed_at=Now()):
        raise CannotDo(
            "No key was issued: it is collected by who asked for it, once, and before the question expires."
        )


def _tell(request: HttpRequest, decided: Approval) -> None:
    told = " ".join(decided.result[:3])
    if decided.state == Approval.State.REFUSED:
        messages.success(request, "It is refused. Nothing was done.")
    elif decided.outcome == Approval.Outcome.DONE:
        messages.success(request, f"Approved and carried out. {told}")
    elif decided.outcome == Approval.Outcome.COLLECT:
        messages.success(request, f"Approved. {decided.asked_by} can collect it now.")
    elif decided.outcome == Approval.Outcome.FAILED:
        messages.error(request, f"Approved, but not done: {told}")
    else:
        messages.warning(request, "Approved. It could not be carried out yet, and is tried again every half minute.")


def _page(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    person = Person.of(request)
    pending = approval.state == Approval.State.PENDING
    why_not = may_decide(approval, person) if pending else ""
    shows_buttons = pending and not why_not
    cannot_approve = asker_lacks(approval) if pending else ""
    context: dict[str, Any] = {
        "approval": approval,
        "title": f"{title_of(approval)} · {approval.subject}",
        "fields": _fields(approval),
        "command": pretty(approval.data),
        **_said(approval),
        "is_mine": approval.asked_by == person.actor,
        "why_not": why_not,
        "cannot_approve": cannot_approve,
        "may_collect": approval.outcome == Approval.Outcome.COLLECT and approval.asked_by == person.actor,
        **(_looked_at_anew(approval) if pending else {}),
    }
    return {**context, "may_decide": shows_buttons and not context.get("is_stale")}


def _looked_at_anew(approval: Approval) -> dict[str, Any]:
    """The preview as it is now, what differs from the one that was asked with, and whether the versions hold."""
    action = sensitive(approval.action)
    try:
        with within(PREVIEW_WITHIN):
            is_stale = what_changed(approval)
            now = list(action.preview(approval.data))
    except (CannotDo, CannotLook, DatabaseError) as error:
        return {"cannot_preview": str(error), "is_stale": ""}
    gone = [line for line in approval.preview if line not in now]
    new = [line for line in now if line not in approval.preview]
    return {"preview_now": now, "gone": gone, "new": new, "is_stale": is_stale}


def _fields(approval: Approval) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [
        ("State", state_badge(approval)),
        ("Subject", approval.subject),
        ("Asked by", approval.asked_by),
        ("Asked because", approval.reason),
        ("Asked (UTC)", when(approval.asked_at)),
        ("Counts until (UTC)", when(approval.expires_at)),
    ]
    if approval.limit:
        fields.append(("Why two persons", approval.limit))
    if approval.decided_by:
        fields.append(("Decided by", approval.decided_by))
    if approval.decided_at:
        how = "Decided" if approval.decided_by else "Ended"
        fields.append((f"{how} (UTC)", when(approval.decided_at)))
        if approval.decision_reason:
            fields.append((f"{how} because", approval.decision_reason))
    if approval.executed_at:
        fields.append(("Carried out (UTC)", when(approval.executed_at)))
    if approval.result_url:
        fields.append(("See", link(approval.result_url, "what came of it")))
    return fields
