"""Audit entries by time, and by action and time. The indexes are built while entries are added."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("ops", "0027_sweep_run")]

    operations = [
        AddIndexConcurrently("auditentry", models.Index(fields=["action", "at", "id"], name="audit_action_at_id")),
        AddIndexConcurrently("auditentry", models.Index(fields=["at", "id"], name="audit_at_id")),
    ]
