"""Secrets and signatures, so that a receiver can tell the bank's messages from anybody else's.

A secret is made of 256 random bits, shown once, and not kept: `ops.derived` says how it is computed again. A change
of SECRET_KEY loses it, after which every client needs a new one.

A receiver checks like this (`VERIFY` is tested as it stands, and published in the API's documentation).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from ops.derived import Derived, SecretLost

PREFIX = "whsec_"
__all__ = ["VERIFY", "SecretLost", "new_salt", "secret_of", "signature"]

VERIFY = '''\
import hashlib, hmac, time

def is_from_the_bank(secret: str, signature: str, body: bytes, tolerance: int = 300) -> bool:
    """`signature` is the header Bankes-Signature, `body` the raw request body: verify before you parse it."""
    parts = [part.split("=", 1) for part in signature.split(",")]
    sent_at = next(value for name, value in parts if name == "t")
    wanted = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    is_recent = abs(time.time() - int(sent_at)) <= tolerance
    return is_recent and any(hmac.compare_digest(wanted, value) for name, value in parts if name == "v1")
'''


_derived = Derived("webhooks")


def new_salt() -> bytes:
    """What is kept of a new secret: random bits, and a check value."""
    return _derived.new_salt()


def secret_of(salt: bytes) -> str:
    """
    Raises:
        SecretLost: it was made under another SECRET_KEY.
    """
    return PREFIX + urlsafe_b64encode(_derived.secret_of(salt)).decode().rstrip("=")


def signature(body: bytes, sent_at: int, secrets_: Sequence[str]) -> str:
    """The header Bankes-Signature: a time in seconds since 1970, and one v1 for each secret that counts."""
    signed = str(sent_at).encode() + b"." + body
    macs = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets_]
    return ",".join([f"t={sent_at}", *(f"v1={mac}" for mac in macs)])
