"""What staff may do with the running software, as permissions."""

from django.db import models


class OperationsAccess(models.Model):
    """No table: Django hangs permissions on models."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "operations"
        permissions = [
            ("view_operations", "Can see health, metrics, configuration and what is in hand"),
            ("run_cleanup", "Can run the cleanup"),
            ("end_sessions", "Can cancel statements and end sessions of the bank in PostgreSQL"),
            ("reset_pool", "Can reset the pools"),
        ]


class ListAccess(models.Model):
    """No table either: what staff may do with the lists of the admin, beyond looking at them page by page."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "lists"
        permissions = [("export_lists", "Can export the lists that it may see as files")]


class CacheAccess(models.Model):
    """No table: the page of the cache hangs on it. Who may see it and act on it is said by `OperationsAccess`."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "cache"


class BreakersAccess(models.Model):
    """No table: the page of breakers and timeouts hangs on it."""

    class Meta:
        managed = False
        default_permissions = ()
        verbose_name = verbose_name_plural = "breakers and timeouts"
