"""Waits after failures to sign in, by account and by address.

Why not django-axes: its waits do not grow, its table of attempts does, without a bound. Here each account and each
address is one row that holds a leaking count; the waits grow with it up to a longest one. PostgreSQL keeps it:
without it nobody signs in anyway, and an outage of Redis opens nothing.

An attempt is counted *before* the password is looked at, for all of its subjects or for none, and taken back when it
was right: guesses that arrive at the same moment cannot slip in together. Names that nobody has are counted in one of
NAME_BUCKETS rows, so that they look and last like real ones; addresses in one of ADDRESS_BUCKETS. So the table has an
upper size.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from ops.conf import get_settings
from ops.signin.models import SignInLock

NAME_BUCKETS = 4096
ADDRESS_BUCKETS = 65_536
LEAK = {"user": 3600, "name": 3600, "code": 3600, "address": 60}
"""Seconds in which one failure is forgotten. An address may be that of a whole office."""
DOUBLINGS = 16

# Whoever has waited for the row goes by the time of now, not of when the transaction began: the row may be younger.
COUNT = """
INSERT INTO ops_signinlock AS held (key, label, failures, failed_at, blocked_until)
SELECT key, label, 1, now(), now() FROM unnest(%(keys)s::text[], %(labels)s::text[]) AS given (key, label)
    ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    label = excluded.label,
    failed_at = clock_timestamp(),
    (failures, blocked_until) = (
        SELECT n, clock_timestamp() + make_interval(secs => CASE WHEN n < free THEN 0
            ELSE least(%(longest)s, %(first)s * power(2, least(n - free, %(doublings)s))) END)
        FROM unnest(%(keys)s::text[], %(free)s::int[], %(leak)s::int[]) AS rule (key, free, leak),
            LATERAL (SELECT greatest(0, held.failures
                - floor(extract(epoch FROM clock_timestamp() - held.failed_at) / leak))::int + 1 AS n) AS counted
        WHERE rule.key = held.key)
WHERE held.blocked_until <= clock_timestamp()
RETURNING key, failures, blocked_until > clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose failures are counted."""

    kind: str
    key: str
    label: str

    @property
    def free(self) -> int:
        """Failures before there is a wait."""
        settings = get_settings()
        return settings.sign_in_address_attempts if self.kind == "address" else settings.sign_in_attempts


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `allowed`: it may be looked at; `blocking` names what it has blocked, should it prove wrong."""

    subjects: Sequence[Subject]
    allowed: bool
    counted: dict[str, int]
    blocking: tuple[str, ...]

    def succeeded(self) -> None:
        """The account starts anew; the address loses this one failure only, else a password that somebody has
        would let them try others'."""
        for subject in self.subjects:
            row = SignInLock.objects.filter(key=subject.key)
            if subject.kind != "address":
                row.delete()
            else:  # no wait either, unless others have failed in the meantime
                unblocked = Case(When(failures=self.counted[subject.key], then=Now()), default=F("blocked_until"))
                row.filter(failures__gt=0).update(failures=F("failures") - Value(1), blocked_until=unblocked)


def attempt(*subjects: Subject) -> Attempt:
    """Counts a try of all subjects as a failure, or of none where one of them has to wait: from an address that is
    blocked nobody locks other people's accounts."""
    settings, ordered = get_settings(), sorted(subjects, key=lambda subject: subject.key)
    parameters: dict[str, Any] = {
        "keys": [subject.key for subject in ordered],
        "labels": [subject.label for subject in ordered],
        "free": [subject.free for subject in ordered],
        "leak": [LEAK[subject.kind] for subject in ordered],
        "first": settings.sign_in_first_wait,
        "longest": settings.sign_in_longest_wait,
        "doublings": DOUBLINGS,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)
        rows = cursor.fetchall()
        allowed = len(rows) == len(ordered)
        if not allowed:
            transaction.set_rollback(True)
    labels = {subject.key: subject.label for subject in ordered}
    return Attempt(
        subjects,
        allowed,
        {key: failures for key, failures, _ in rows},
        tuple(labels[key] for key, _, blocked in rows if blocked),
    )


def of_name(username: str) -> Subject:
    user = User.objects.filter(username=username).only("pk", "username").first()
    if user is not None:
        return Subject("user", f"user:{user.pk}", f"staff:{user.get_username()}")
    return Subject("name", f"name:{_bucket(username, NAME_BUCKETS)}", "a name that nobody has")


def of_address(address: str) -> Subject:
    """An IPv6 network of /64 is one: its owner has all of its addresses."""
    where = address
    if address and ip_address(address).version == 6:
        where = str(ip_network(f"{address}/64", strict=False))
    return Subject("address", f"address:{_bucket(where, ADDRESS_BUCKETS)}", f"address:{where or 'unknown'}")


def of_codes(user: User) -> Subject:
    return Subject("code", f"code:{user.pk}", f"codes of staff:{user.get_username()}")


def is_blocked(lock: SignInLock) -> bool:
    return lock.blocked_until > timezone.now()


def unlock(lock: SignInLock) -> bool:
    """Forgets the failures; False where that had been done."""
    return SignInLock.objects.filter(key=lock.key).delete()[0] > 0


def _bucket(text: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % buckets
