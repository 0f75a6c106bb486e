"""The one way a password is checked: AUTHENTICATION_BACKENDS."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from ops.access.address import client_address
from ops.audit.record import NOBODY, REFUSED, record
from ops.audit.signals import NOT_LOOKED_AT
from ops.signin.locks import Attempt, attempt, of_address, of_name


class LockingBackend(ModelBackend):
    """Django's, behind the waits of `locks`. A name that nobody has takes as long as a wrong password, and waits."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """
        Raises:
            PermissionDenied: the account or the address has to wait; the password was not looked at.
        """
        if username is None or password is None:
            return None
        tried = attempt(of_name(username), *([of_address(client_address(request))] if request else []))
        if not tried.allowed:
            if request is not None:
                request.META[NOT_LOOKED_AT] = True
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            tried.succeeded()
        else:
            record_lock(request, tried)
        return user

    def get_user(self, user_id: int) -> User | None:
        """Whoever is signed in, with their preferences: in one query."""
        user = User.objects.select_related("preference").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None


def record_lock(request: HttpRequest | None, tried: Attempt) -> None:
    """An entry when a wait begins; none for each try during it."""
    if request is not None:
        for label in tried.blocking:
            record(
                request,
                action="sign_in_locked",
                subject=label,
                reason="failed too often",
                outcome=REFUSED,
                actor=NOBODY,
                detail={"failures": max(tried.counted.values())},
            )
