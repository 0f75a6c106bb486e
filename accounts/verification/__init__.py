"""Proof of the books: every stream folded, every hash recomputed, every read model compared."""

from accounts.verification.verify import Verification, verify

__all__ = ["Verification", "verify"]
