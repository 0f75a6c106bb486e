"""Asking for a code, and looking at it behind the same waits as passwords."""

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from ops.access.address import client_address
from ops.audit.record import REFUSED, record, staff_actor
from ops.signin import factor, locks
from ops.signin.backend import record_lock

WRONG = (
    "The code is wrong, or was used before, or there were too many wrong ones: wait for the next code, or a little "
    "longer, then try again."
)
LOST = (
    "The bank's SECRET_KEY was changed, and your authenticator app's codes count no more: ask an administrator to "
    "reset your second factor."
)


def code_field() -> forms.CharField:
    return forms.CharField(
        label="Code",
        max_length=40,
        help_text="Six digits from your authenticator app, or one of your recovery codes.",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "off", "spellcheck": "false"}
        ),
    )


def check_code(request: HttpRequest, user: User, code: str) -> str | None:
    """None where the code is right, and now used up; else what to tell the person. A wrong one is recorded."""
    actor = staff_actor(user)
    tried = locks.attempt(locks.of_codes(user), locks.of_address(client_address(request)))
    if not tried.allowed:
        return WRONG
    try:
        kind = factor.check(user, code)
    except factor.SecretLost:
        record_lock(request, tried)
        return LOST
    if kind is None:
        record(request, action="second_factor", subject=actor, reason="wrong code", outcome=REFUSED, actor=actor)
        record_lock(request, tried)
        return WRONG
    tried.succeeded()
    if kind != "code":
        record(request, action="use_recovery_code", subject=actor, reason="signed in with it", actor=actor)
    return None
