"""Signing in and out, and failing to, are recorded. Connected in `OpsConfig.ready()`."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from ops.audit.record import NOBODY, REFUSED, record, staff_actor

NOT_LOOKED_AT = "ops.audit.not_looked_at"
"""Set in `request.META` by an authentication backend that makes somebody wait."""


@receiver(user_logged_in, dispatch_uid="ops.audit.signed_in")
def record_sign_in(sender: object, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> None:
    actor = staff_actor(user)
    record(request, action="sign_in", subject=actor, reason="signed in", actor=actor)


@receiver(user_logged_out, dispatch_uid="ops.audit.signed_out")
def record_sign_out(
    sender: object, request: HttpRequest | None, user: AbstractBaseUser | None, **kwargs: Any
) -> None:
    if request is not None and user is not None:
        actor = staff_actor(user)
        record(request, action="sign_out", subject=actor, reason="signed out", actor=actor)


@receiver(user_login_failed, dispatch_uid="ops.audit.sign_in_failed")
def record_failed_sign_in(
    sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """The name that was tried is kept, the password never. A try that was not looked at leaves no entry: they would
    come as fast as anybody likes."""
    if request is not None and not request.META.get(NOT_LOOKED_AT):
        tried = f"staff:{credentials.get('username') or ''}"
        reason = "wrong user name or password"
        record(request, action="sign_in", subject=tried, reason=reason, outcome=REFUSED, actor=NOBODY)
