"""What the detectors found, what was done about it, and when the monitor looked last."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ops", "0003_webhooks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Resolution",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("cancel", "Cancelled the statement"),
                            ("terminate", "Ended the session"),
                            ("reset_pool", "Reset the pools"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("done", "Done"),
                            ("gone", "It was over by then"),
                            ("refused", "Refused by PostgreSQL"),
                        ],
                        max_length=10,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("pid", models.IntegerField(help_text="The PostgreSQL backend.", null=True)),
                ("backend_start", models.DateTimeField(null=True)),
                (
                    "operation",
                    models.CharField(blank=True, help_text="Id of the operation that it worked for.", max_length=36),
                ),
                ("detail", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=40)),
                ("subject", models.CharField(max_length=200)),
                ("reason", models.TextField(help_text="In a sentence, as it was at first.")),
                ("detail", models.JSONField(default=dict, help_text="What was measured, at first.")),
                ("began_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "resolution",
                    models.CharField(blank=True, help_text="What ended it, where that is known.", max_length=200),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["ended_at", "id"], name="incident_ended_id")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("kind", "subject"), name="incident_open_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MonitorRun",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("holder", models.CharField(help_text="host:pid of the one that leads.", max_length=100)),
                ("at", models.DateTimeField()),
                ("seconds", models.FloatField(help_text="That the look took.")),
                ("findings", models.IntegerField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="monitorrun_one_row")],
            },
        ),
    ]
