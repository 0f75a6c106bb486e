"""An authenticator app for tests: real codes, without waiting for the next half minute."""

import time
from base64 import b32decode
from dataclasses import dataclass

from django.contrib.auth.models import User
from django_otp.oath import totp

from ops.signin import factor

STEP = 30
SPARE = 5.0
"""Seconds of a step that a test needs."""


@dataclass
class Authenticator:
    """The bank takes codes of the step before, this one and the next: that is three, each once, in that order."""

    secret: bytes
    used: int = -1
    """How many of the three were handed out, less one."""

    def __post_init__(self) -> None:
        left = STEP - time.time() % STEP
        if left < SPARE:
            time.sleep(left)

    @classmethod
    def of_text(cls, text: str) -> "Authenticator":
        """From the secret as the enrolment page shows it."""
        return cls(b32decode(text.replace(" ", "")))

    def code(self) -> str:
        assert self.used < 2, "the fourth code has to be waited for: write the test with three"
        self.used += 1
        return f"{totp(self.secret, t0=-STEP * (self.used - 1)):06}"

    def same_code(self) -> str:
        """The one that `code` gave last."""
        return f"{totp(self.secret, t0=-STEP * (self.used - 1)):06}"


def enrolled(user: User) -> tuple[Authenticator, list[str]]:
    """The app of a member of staff who has enrolled, with the first of its codes used up; and the recovery codes."""
    salt = factor.new_salt()
    app = Authenticator(factor.secret_of(salt))
    codes = factor.enrol(user, salt, app.code())
    assert codes is not None
    return app, codes
