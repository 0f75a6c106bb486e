"""Writes: everything that changes an account goes through `execute`."""

from accounts.services.envelope import Envelope, Executed, Outcome, Refused, idempotency_key
from accounts.services.executor import begin_one, execute, execute_one, execute_together, would_execute

__all__ = [
    "Envelope",
    "Executed",
    "Outcome",
    "Refused",
    "begin_one",
    "execute",
    "execute_one",
    "execute_together",
    "idempotency_key",
    "would_execute",
]
