"""Jobs: what was asked for, how far it is, its log, and the report that stays."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from ops.admin.audited import require_permission
from ops.admin.keyset import BY_NUMBER, Keyset
from ops.admin.lists import Column, Filters, KeysetAdmin, choice_filter
from ops.audit.record import record, staff_actor
from ops.html import badge, link, page_of, when
from ops.jobs import asking
from ops.jobs.models import Job
from ops.jobs.registry import UnknownAction, action_of, title_of
from ops.jobs.sweeping import DEAD_AFTER

TONES = {"queued": "plain", "running": "warn", "done": "good", "failed": "bad", "cancelled": "plain"}
LINES_SHOWN = 1000
NOT_TAKEN_AFTER = 30.0
"""Seconds after which a job that still waits is said to lack a worker."""


class JobFilters(Filters):
    state = choice_filter("State", Job.State.choices)

    def narrow(self, queryset: QuerySet[Any], keyset: Keyset) -> tuple[QuerySet[Any], Keyset]:
        state = self.cleaned_data["state"]
        return (queryset.filter(state=state) if state else queryset), keyset


def state_badge(job: Job) -> object:
    return badge(job.get_state_display(), TONES[job.state])


def trouble(job: Job) -> str:
    """What is wrong with a job that has not ended, in words; "" for nothing."""
    now = timezone.now()
    if job.state == Job.State.QUEUED and (now - job.created_at).total_seconds() > NOT_TAKEN_AFTER:
        return (
            "No worker has taken it yet. It is not lost: it begins when a Celery worker has room for it. See that "
            "Redis and the worker run (systemctl status banking-es-jobs, or the log of make run)."
        )
    if (
        job.state == Job.State.RUNNING
        and job.heartbeat_at
        and (now - job.heartbeat_at).total_seconds() > 2 * DEAD_AFTER
    ):
        return (
            f"Its worker ({job.worker}) has not been heard of for a while. If it has died, the job is marked failed "
            "within a minute of a worker running again."
        )
    return ""


def how_long(job: Job) -> str:
    if job.started_at is None:
        return "–"
    return f"{((job.ended_at or timezone.now()) - job.started_at).total_seconds():.0f} s"


def how_far(job: Job) -> str:
    if job.is_ended or job.state == Job.State.QUEUED:
        return "–"
    return f"{job.percent} %" if job.percent is not None else job.step or "begun"


@admin.register(Job)
class JobAdmin(KeysetAdmin):
    about = "What staff have had done, newest first: long work by a worker, short work at once. Reports stay here."
    when_empty = "Nothing was asked for yet. Procedures are begun from the page of what they are about."
    object_template = "ops/job.html"
    keyset = BY_NUMBER
    filters = JobFilters
    deferred = ("report", "error", "input")
    columns = (
        Column("Job", lambda job: link(page_of("ops.job", job.pk), f"{job.pk} {title_of(job.action)}")),
        Column("State", state_badge),
        Column("Progress", how_far, numeric=True),
        Column("Subject", lambda job: job.subject),
        Column("Asked by", lambda job: job.asked_by),
        Column("Asked for (UTC)", lambda job: when(job.created_at)),
        Column("Took", how_long, numeric=True),
    )

    def more_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:job_id>/state/", view(self.state_view), name="ops_job_state"),
            path("<int:job_id>/cancel/", view(self.cancel_view), name="ops_job_cancel"),
        ]

    def object_context(self, request: HttpRequest, obj: Job) -> dict[str, Any]:
        return {
            "title": f"{title_of(obj.action)} · {obj.subject}",
            "fields": self.object_fields(obj),
            "live": live_context(obj),
            "job": obj,
            "state_url": "" if obj.is_ended else reverse("admin:ops_job_state", args=[obj.pk]),
            "cancel_url": reverse("admin:ops_job_cancel", args=[obj.pk]) if _may_cancel(request, obj) else "",
        }

    def object_fields(self, obj: Model) -> list[tuple[str, object]]:
        assert isinstance(obj, Job)
        return [
            ("Subject", obj.subject),
            ("Asked by", obj.asked_by),
            ("Approved by", obj.approved_by or "–"),
            ("Because", obj.reason),
            ("Asked for (UTC)", when(obj.created_at)),
            ("Began (UTC)", when(obj.started_at)),
            ("Ended (UTC)", when(obj.ended_at)),
            ("Worker", obj.worker or "–"),
            ("Input", ", ".join(f"{name}: {_short(value)}" for name, value in obj.input.items()) or "–"),
        ]

    def state_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """What the job's page polls: its live part, and whether the job has ended."""
        if (refused := self.require_view(request)) is not None:
            return refused
        job = self._found(job_id)
        live = render_to_string(
            "ops/job_live.html", {"live": live_context(job), "job": job, "fields": self.object_fields(job)}
        )
        return JsonResponse({"state": job.state, "ended": job.is_ended, "live": live})

    def cancel_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        job = self._found(job_id)
        require_permission(request, "ops.view_job", "cancel_job", f"job:{job_id}")
        require_permission(request, _permission(job), "cancel_job", f"job:{job_id}")
        if request.method == "POST":
            told = asking.cancel(job_id, by=staff_actor(request.user))
            if told:
                detail = {"action": job.action, "subject": job.subject}
                reason = "asked for on the page of the job"
                record(request, action="cancel_job", subject=f"job:{job_id}", reason=reason, detail=detail)
                messages.success(request, told)
            else:
                messages.warning(request, "The job had ended before: nothing was cancelled.")
        return redirect(page_of("ops.job", job_id))

    def _found(self, job_id: int) -> Job:
        job = Job.objects.filter(pk=job_id).first()
        if job is None:
            raise Http404(f"There is no job {job_id}.")
        return job


def live_context(job: Job) -> dict[str, Any]:
    return {
        "state": state_badge(job),
        "step": job.step,
        "done": job.done,
        "total": job.total,
        "percent": job.percent,
        "trouble": trouble(job),
        "lines": list(job.lines.all()[:LINES_SHOWN]),
    }


def _permission(job: Job) -> str:
    """That of its action; of one that this code no longer has, nobody's."""
    try:
        return action_of(job.action).permission
    except UnknownAction:
        return "ops.no_such_action"


def _may_cancel(request: HttpRequest, job: Job) -> bool:
    return not job.is_ended and not job.cancel_asked_by and request.user.has_perm(_permission(job))


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
