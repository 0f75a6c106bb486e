"""Browsers' sessions that have run out: Django leaves them in its table."""

from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone


def prune(limit: int) -> int:
    """Removes at most `limit` sessions past their end; returns how many."""
    keys = list(_expired().values_list("pk", flat=True)[:limit])
    return Session.objects.filter(pk__in=keys).delete()[0]


def expired(limit: int) -> int:
    """How many `prune` would remove, counted up to `limit`."""
    return _expired()[:limit].count()


def _expired() -> QuerySet[Any]:
    return Session.objects.filter(expire_date__lt=timezone.now())
