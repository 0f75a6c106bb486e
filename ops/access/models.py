"""What staff may do with the running software, as permissions."""

from django.db import models


class OperationsAccess(models.Model):
    """No table: Django hangs permissions on models."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("view_operations", "Can see health, metrics, configuration and what is in hand"),
            ("run_cleanup", "Can run the cleanup"),
        ]
