"""Writing an audit entry from the request that did it."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from ops.access.address import client_address
from ops.access.trace import request_id
from ops.models import AuditEntry

DONE, REFUSED = AuditEntry.Outcome.DONE, AuditEntry.Outcome.REFUSED
NOBODY = "anonymous"


def staff_actor(user: AbstractBaseUser | AnonymousUser) -> str:
    """How a member of staff is named in entries and in events: "staff:alice"."""
    return f"staff:{user.get_username()}" if user.is_authenticated else NOBODY


def record(
    request: HttpRequest,
    *,
    action: str,
    subject: str,
    reason: str,
    outcome: AuditEntry.Outcome = DONE,
    detail: dict[str, Any] | None = None,
    actor: str | None = None,
) -> AuditEntry:
    """Adds an entry. Call it in the transaction of the change, so that neither exists without the other.

    `detail` is JSON-ready and holds no secrets. `actor` is the signed-in user unless it is given.
    """
    return AuditEntry.objects.create(
        actor=_fit(actor or staff_actor(request.user), 200),
        action=_fit(action, 60),
        subject=_fit(subject, 200),
        outcome=outcome,
        reason=_storable(reason),
        detail=detail or {},
        address=_fit(client_address(request), 60),
        request_id=request_id(request),
    )


def record_act(
    *, actor: str, action: str, subject: str, reason: str, done: bool, detail: dict[str, Any]
) -> AuditEntry:
    """As `record`, for what no request of the admin did: a command, or the bank itself."""
    return AuditEntry.objects.create(
        actor=_fit(actor, 200),
        action=_fit(action, 60),
        subject=_fit(subject, 200),
        outcome=DONE if done else REFUSED,
        reason=_storable(reason),
        detail=detail,
        address="",
        request_id="",
    )


def _fit(text: str, length: int) -> str:
    return _storable(text)[:length]


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL character."""
    return text.replace("\x00", "")
