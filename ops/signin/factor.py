"""Codes of an authenticator app (TOTP, RFC 6238: six digits, 30 seconds, SHA-1, as every app has it), and the
recovery codes for a day without it.

The algorithm is django-otp's. Its models are not used: they keep the secret and the recovery codes in clear.
"""

import re
import secrets
import time
from base64 import b32encode
from urllib.parse import quote, urlencode

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django_otp.oath import TOTP

from ops.derived import Derived, SecretLost
from ops.signin.models import SecondFactor

ISSUER = "bankes"
TOLERANCE = 1
"""Steps of 30 seconds that a clock may be off, either way."""
RECOVERY_CODES = 10
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 16
"""Characters of a recovery code: 80 random bits, so that a keyed SHA-256 hides it."""
_derived = Derived("second-factor")
_recovery = Derived("recovery-codes")


def new_salt() -> bytes:
    return _derived.new_salt()


def secret_of(salt: bytes) -> bytes:
    """20 bytes, as RFC 4226 recommends.

    Raises:
        SecretLost: SECRET_KEY has changed since.
    """
    return _derived.secret_of(salt)[:20]


def in_words(secret: bytes) -> str:
    """For typing: base 32, in groups of four."""
    text = b32encode(secret).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def provisioning_uri(user: User, secret: bytes) -> str:
    """What the QR code says to the app."""
    name = quote(f"{ISSUER}:{user.get_username()}", safe=":")
    query = {"secret": b32encode(secret).decode(), "issuer": ISSUER, "algorithm": "SHA1", "digits": 6, "period": 30}
    return f"otpauth://totp/{name}?{urlencode(query)}"


def has_one(user: User) -> bool:
    return SecondFactor.objects.filter(user=user).exists()


def enrol(user: User, salt: bytes, code: str) -> list[str] | None:
    """Makes the app whose secret is of `salt` the person's only one, and returns new recovery codes: they can be
    shown now and never again. None where the code is wrong: nothing was changed."""
    step = _step_of(secret_of(salt), code, after=-1)
    if step is None:
        return None
    codes = _new_codes()
    SecondFactor.objects.update_or_create(
        user=user,
        defaults={
            "salt": salt,
            "last_step": step,
            "recovery_digests": [_recovery.digest(code) for code in codes],
            "enrolled_at": timezone.now(),
        },
    )
    return [_grouped(code) for code in codes]


def renew_recovery_codes(user: User) -> list[str]:
    """The old ones work no more."""
    codes = _new_codes()
    SecondFactor.objects.filter(user=user).update(recovery_digests=[_recovery.digest(code) for code in codes])
    return [_grouped(code) for code in codes]


def check(user: User, code: str) -> str | None:
    """ "code" or "recovery code", what `code` was and is no more: each works once. None where it is wrong.

    Raises:
        SecretLost: SECRET_KEY has changed since the app was enrolled.
    """
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None:
            return None
        text = re.sub(r"[\s-]", "", code).upper()
        if len(text) == _LENGTH:
            return _use_recovery_code(factor, text)
        step = _step_of(secret_of(bytes(factor.salt)), text, after=factor.last_step)
        if step is None:
            return None
        factor.last_step = step
        factor.save(update_fields=["last_step"])
        return "code"


def reset(user: User) -> bool:
    """Forgets the app: the next sign-in leads to enrolment. False if there was none."""
    return SecondFactor.objects.filter(user=user).delete()[0] > 0


def _use_recovery_code(factor: SecondFactor, code: str) -> str | None:
    digest = _recovery.digest(code)
    if digest not in factor.recovery_digests:
        return None
    factor.recovery_digests = [other for other in factor.recovery_digests if other != digest]
    factor.save(update_fields=["recovery_digests"])
    return "recovery code"


def _step_of(secret: bytes, code: str, *, after: int) -> int | None:
    """The time step whose code this is, if it is near now and later than `after`."""
    text = re.sub(r"\s", "", code)
    if not re.fullmatch(r"[0-9]{6}", text, re.ASCII):
        return None
    totp = TOTP(secret)
    totp.time = time.time()  # one moment for both questions
    return int(totp.t()) if totp.verify(int(text), tolerance=TOLERANCE, min_t=after + 1) else None


def _new_codes() -> list[str]:
    return ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(RECOVERY_CODES)]


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


__all__ = ["SecretLost", "check", "enrol", "has_one", "provisioning_uri", "renew_recovery_codes", "reset"]
