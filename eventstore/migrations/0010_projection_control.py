"""Projections can be paused by a person; permissions to pause, and to rebuild."""

from django.db import migrations, models

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0005_repair_permissions")]

    operations = [
        migrations.RunSQL(read_sql("tables/projection_pauses")),
        migrations.AddField("projectionstate", "paused_by", models.TextField()),
        migrations.AddField("projectionstate", "paused_at", models.DateTimeField(null=True)),
        migrations.AlterModelOptions(
            name="projectionstate",
            options={
                "default_permissions": ("view",),
                "managed": False,
                "ordering": ["name"],
                "permissions": [
                    ("pause_projection", "Can pause projections and have them go on"),
                    ("rebuild_projection", "Can rebuild read models, swap them in and undo that"),
                ],
            },
        ),
    ]
