"""Secrets that are not kept: the database holds random salt, from which, with a key derived from SECRET_KEY, each is
computed again when it is needed.

Who has only the database learns nothing of them, as if they were encrypted, without a cipher: the standard library
has none, and one of our own would be worse than none. The salt's check value tells when SECRET_KEY was changed, after
which every such secret is lost and has to be made anew.
"""

import hashlib
import hmac
import secrets

from ops.conf import get_settings

RANDOM_BYTES = 32
CHECK_BYTES = 8


class SecretLost(Exception):
    """SECRET_KEY has changed since the secret was made: it cannot be computed any more. Make a new one."""


class Derived:
    """Secrets of one purpose, which have a key of their own."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose

    def new_salt(self) -> bytes:
        """What is kept of a new secret: random bits, and a check value."""
        random = secrets.token_bytes(RANDOM_BYTES)
        return random + self._derive("check", random)[:CHECK_BYTES]

    def secret_of(self, salt: bytes) -> bytes:
        """32 bytes.

        Raises:
            SecretLost: it was made under another SECRET_KEY.
        """
        random, check = bytes(salt[:RANDOM_BYTES]), bytes(salt[RANDOM_BYTES:])
        if not hmac.compare_digest(self._derive("check", random)[:CHECK_BYTES], check):
            raise SecretLost(
                f"SECRET_KEY has changed since this secret was made ({self._purpose}): it needs a new one"
            )
        return self._derive("secret", random)

    def digest(self, text: str) -> str:
        """A keyed SHA-256 of what has enough random bits to need no slower one, in hexadecimal."""
        return self._derive("digest", text.encode()).hex()

    def _derive(self, use: str, random: bytes) -> bytes:
        """A pseudo-random function of `random` under SECRET_KEY; each purpose and use has a key of its own."""
        root = get_settings().secret_key.get_secret_value().encode()
        key = hmac.digest(root, f"bankes.{self._purpose}.{use}".encode(), "sha256")
        return hmac.new(key, random, hashlib.sha256).digest()
