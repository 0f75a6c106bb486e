"""Secrets and signatures, so that a receiver can tell the bank's messages from anybody else's.

A secret is made of 256 random bits, shown once, and not kept: the database holds the random salt from which, with a
key derived from SECRET_KEY, it is computed again. Who has only the database learns nothing of it, as if it were
encrypted, without a cipher: the standard library has none, and one of our own would be worse than none. The salt's
check value tells when SECRET_KEY was changed, after which every client needs a new secret.

A receiver checks like this (`VERIFY` is tested as it stands, and published in the API's documentation).
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from ops.conf import get_settings

PREFIX = "whsec_"
SALT_BYTES = 32
CHECK_BYTES = 8

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


class SecretLost(Exception):
    """SECRET_KEY has changed since the secret was made: it cannot be computed any more. Make a new one."""


def new_salt() -> bytes:
    """What is kept of a new secret: random bits, and a check value."""
    random = secrets.token_bytes(SALT_BYTES)
    return random + _derive(b"check", random)[:CHECK_BYTES]


def secret_of(salt: bytes) -> str:
    """
    Raises:
        SecretLost: it was made under another SECRET_KEY.
    """
    random, check = bytes(salt[:SALT_BYTES]), bytes(salt[SALT_BYTES:])
    if not hmac.compare_digest(_derive(b"check", random)[:CHECK_BYTES], check):
        raise SecretLost("SECRET_KEY has changed since the webhook's secret was made: it needs a new one")
    return PREFIX + urlsafe_b64encode(_derive(b"secret", random)).decode().rstrip("=")


def signature(body: bytes, sent_at: int, secrets_: Sequence[str]) -> str:
    """The header Bankes-Signature: a time in seconds since 1970, and one v1 for each secret that counts."""
    signed = str(sent_at).encode() + b"." + body
    macs = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets_]
    return ",".join([f"t={sent_at}", *(f"v1={mac}" for mac in macs)])


def _derive(purpose: bytes, random: bytes) -> bytes:
    """A pseudo-random function of the salt under SECRET_KEY; each purpose has a key of its own."""
    root = get_settings().secret_key.get_secret_value().encode()
    key = hmac.digest(root, b"bankes.webhooks." + purpose, "sha256")
    return hmac.digest(key, random, "sha256")
