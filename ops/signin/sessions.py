"""A browser's session: when it began, how long it lasts, where it is, and how it is ended.

Times in a session are seconds since 1970. A session ends SESSION_IDLE_TIMEOUT after the last thing that the person
did, and SESSION_LIFETIME after signing in, whatever was done.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from ops.access.address import client_address
from ops.conf import get_settings
from ops.signin.models import StaffSession

NOTED_EVERY = 60
"""Seconds between two notes that the person is still there."""


def begin(request: HttpRequest, *, second_factor: bool) -> None:
    """To be called right after Django's `login`, which has given the session a new key."""
    now = time.time()
    request.session.update(
        {
            "signed_in_at": now,
            "seen_at": now,
            "proved_at": now,
            "second_factor": second_factor,
            "address": client_address(request),
            "browser": request.META.get("HTTP_USER_AGENT", "").replace("\x00", "")[:200],
        }
    )


def prove(session: SessionBase) -> None:
    """The person has just shown who they are."""
    session["proved_at"] = time.time()


def is_fresh(session: SessionBase) -> bool:
    """Whether the person has shown who they are within REAUTHENTICATE_AFTER seconds."""
    return bool(0 <= time.time() - session.get("proved_at", 0) < get_settings().reauthenticate_after)


def over(session: SessionBase) -> str | None:
    """Why a signed-in session may not go on, for the person; None where it may."""
    settings, now = get_settings(), time.time()
    if settings.second_factor_required and not session.get("second_factor"):
        return "A code is needed to sign in now. Please sign in again."
    if now - session.get("seen_at", 0) >= settings.session_idle_timeout:
        return f"You were signed out after {_length(settings.session_idle_timeout)} in which nothing was done."
    if now - session.get("signed_in_at", 0) >= settings.session_lifetime:
        return f"You were signed out: a sign-in lasts {_length(settings.session_lifetime)}."
    return None


def note_activity(request: HttpRequest) -> None:
    """Only what a person does keeps a session alive: a page that refreshes itself (by fetch) does not."""
    by_itself = request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate" and request.method in ("GET", "HEAD")
    every = min(NOTED_EVERY, get_settings().session_idle_timeout / 10)
    if not by_itself and time.time() - request.session.get("seen_at", 0) >= every:
        request.session["seen_at"] = time.time()


@dataclass(frozen=True, slots=True)
class Place:
    """A session, for the person whose it is. `id` tells it from others and opens nothing."""

    id: str
    signed_in_at: datetime | None
    seen_at: datetime | None
    address: str
    browser: str
    is_this: bool


def places(user: User, this: SessionBase) -> list[Place]:
    """Where the person is signed in, the last used first."""
    rows = StaffSession.objects.filter(user=user, expire_date__gt=timezone.now()).order_by("-seen_at")[:100]
    return [
        Place(
            _id(row.session_key),
            row.signed_in_at,
            row.seen_at,
            row.address,
            row.browser,
            row.session_key == this.session_key,
        )
        for row in rows
    ]


def end(user: User, place_id: str) -> bool:
    """Ends the person's session of this id; False if there is none any more."""
    keys = [key for key in _keys(user) if _id(key) == place_id]
    return StaffSession.objects.filter(session_key__in=keys).delete()[0] > 0


def end_all(user: User, *, but: SessionBase | None = None) -> int:
    """Signs the person out everywhere (`but`: except here); returns how many sessions ended."""
    rows = StaffSession.objects.filter(user=user)
    if but is not None and but.session_key:
        rows = rows.exclude(session_key=but.session_key)
    return rows.delete()[0]


def prune(limit: int) -> int:
    """Removes at most `limit` sessions past their end; returns how many."""
    past = StaffSession.objects.filter(expire_date__lt=timezone.now())
    keys = list(past.values_list("pk", flat=True)[:limit])
    return StaffSession.objects.filter(pk__in=keys).delete()[0]


def expired(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return StaffSession.objects.filter(expire_date__lt=timezone.now())[:limit].count()


def _keys(user: User) -> list[str]:
    return list(StaffSession.objects.filter(user=user).values_list("session_key", flat=True))


def _id(session_key: str) -> str:
    return salted_hmac("ops.signin.sessions", session_key, algorithm="sha256").hexdigest()[:24]


def _length(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} hour{'s' if seconds > 3600 else ''}"
    minutes = max(1, seconds // 60)
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
