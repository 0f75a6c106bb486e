"""Sensitive actions that are carried out as jobs."""

from django.urls import reverse

from ops.approvals.registry import Approved, Carried, Command, SensitiveAction
from ops.jobs import asking


class ApprovedJob(SensitiveAction):
    """The job action of the same name, with the command as its input. One approval makes one job."""

    def subject(self, command: Command) -> str:
        return "installation"

    def execute(self, command: Command, approved: Approved) -> Carried:
        job = asking.make(
            self.name,
            subject=self.subject(command),
            input=command,
            reason=approved.reason,
            actor=approved.asked_by,
            approved_by=approved.decided_by,
            key=f"approval:{approved.id}",
        )
        sent = asking.send(job)
        told = f"Job {job.pk} does it." if sent else asking.NOT_SENT
        return Carried([told], reverse("admin:ops_job_change", args=[job.pk]), only_begun=True)
