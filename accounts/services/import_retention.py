"""Removing imports of which nothing was heard for long, with their refusals. Commands that they executed stay."""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Import, ImportRefusal
from ops.conf import get_settings
from ops.debug.cleanup import CleanedUp, Step, remove_in_batches

BATCH = 100
"""Imports removed in one transaction: each may have some ten thousand refusals."""
MOST_COUNTED = 10_000
"""Imports; a dry run counts no further."""


def clean_up(dry_run: bool, step: Step) -> CleanedUp:
    """For `ops.debug.cleanup.register_cleanup`: imports past IMPORT_RETENTION_DAYS, finished or not."""
    if dry_run:
        return CleanedUp({"imports": _expired()[:MOST_COUNTED].count()})
    return remove_in_batches("imports", _remove_some, BATCH, step)


def _remove_some() -> int:
    with transaction.atomic():
        old = _expired().select_for_update(skip_locked=True).order_by("updated_at")
        ids = list(old.values_list("pk", flat=True)[:BATCH])
        ImportRefusal.objects.filter(of__in=ids).delete()
        Import.objects.filter(pk__in=ids).delete()
    return len(ids)


def _expired() -> QuerySet[Import]:
    return Import.objects.filter(updated_at__lt=timezone.now() - timedelta(days=get_settings().import_retention_days))
