"""Permissions to end sessions of PostgreSQL and to reset the pools."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ops", "0006_operations_access")]

    operations = [
        migrations.AlterModelOptions(
            name="operationsaccess",
            options={
                "default_permissions": (),
                "managed": False,
                "permissions": [
                    ("view_operations", "Can see health, metrics, configuration and what is in hand"),
                    ("run_cleanup", "Can run the cleanup"),
                    ("end_sessions", "Can cancel statements and end sessions of the bank in PostgreSQL"),
                    ("reset_pool", "Can reset the pools"),
                ],
                "verbose_name": "operations",
                "verbose_name_plural": "operations",
            },
        ),
    ]
