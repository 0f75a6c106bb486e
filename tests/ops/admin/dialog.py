"""A person at the dialog of a procedure, the worker that does the job, and the second person."""

import html
import re
from typing import Any

from django.test import Client

from ops.jobs import running
from ops.models import Approval, Job


def page_text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def preview(browser: Client, url: str, **fields: object) -> tuple[str, str]:
    """The preview's text, and the note that its confirmation sends; "" where there is nothing to confirm."""
    answer = browser.post(url, {"reason": "the feed stood still", **fields})
    assert answer.status_code == 200
    text = page_text(answer)
    found = re.search(r'name="confirmed" value="([^"]+)"', text)
    return text, found.group(1) if found else ""


def confirm(browser: Client, url: str, note: str) -> Any:
    return browser.post(url, {"confirmed": note})


def worked(answer: Any) -> Job:
    """The job that a confirmation led to, after a worker has had it."""
    assert answer.status_code == 302, page_text(answer)
    job_id = int(re.fullmatch(r"/admin/ops/job/(\d+)/change/", answer.headers["Location"]).group(1))  # type: ignore[union-attr]
    assert running.run(job_id)
    return Job.objects.get(pk=job_id)


def asked(answer: Any) -> Approval:
    """The question that a confirmation led to."""
    assert answer.status_code == 302, page_text(answer)
    found = re.fullmatch(r"/admin/ops/approval/([0-9a-f-]{36})/change/", answer.headers["Location"])
    assert found, answer.headers["Location"]
    return Approval.objects.get(pk=found.group(1))


def decide(browser: Client, approval: Approval, decision: str = "approve", **fields: str) -> Approval:
    """Answers a question by the form on its page; returns it as it is then."""
    sent = {"decision": decision, "reason": "I looked at it", "digest": approval.digest, **fields}
    browser.post(f"/admin/ops/approval/{approval.pk}/decide/", sent)
    approval.refresh_from_db()
    return approval
