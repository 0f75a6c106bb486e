"""Who asks and who decides."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from ops.audit.record import DONE, REFUSED, record, record_act, staff_actor


@dataclass(frozen=True, slots=True)
class Person:
    """`actor` as the audit names it; `user` is None at the command line, where who can run commands may do all."""

    actor: str
    user: User | None = None
    request: HttpRequest | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> "Person":
        assert isinstance(request.user, User), "the admin has let nobody else in"
        return cls(staff_actor(request.user), request.user, request)

    def may(self, *permissions: str) -> bool:
        return self.user is None or self.user.has_perms(permissions)

    def note(self, *, action: str, subject: str, reason: str, done: bool, detail: dict[str, Any]) -> None:
        """An audit entry of what this person did, or tried to do."""
        if self.request is None:
            record_act(actor=self.actor, action=action, subject=subject, reason=reason, done=done, detail=detail)
            return
        outcome = DONE if done else REFUSED
        record(self.request, action=action, subject=subject, reason=reason, outcome=outcome, detail=detail)
