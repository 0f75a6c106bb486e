"""Permissions to see the running software, and to clean up after it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ops", "0005_resolutions_are_append_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="OperationsAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "permissions": [
                    ("view_operations", "Can see health, metrics, configuration and what is in hand"),
                    ("run_cleanup", "Can run the cleanup"),
                ],
                "managed": False,
                "default_permissions": (),
            },
        ),
    ]
