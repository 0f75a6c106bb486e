"""Jobs and their logs."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0008_export_lists"), ("ops", "0021_viewings_only_grow")]

    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("action", models.CharField(max_length=60)),
                ("subject", models.CharField(help_text="What it works on, as the audit names it.", max_length=200)),
                ("input", models.JSONField(default=dict)),
                ("reason", models.TextField()),
                ("asked_by", models.CharField(max_length=200)),
                ("approved_by", models.CharField(blank=True, max_length=200)),
                (
                    "key",
                    models.CharField(
                        help_text="There is one job for it, ever.", max_length=100, null=True, unique=True
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Waiting for a worker"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("step", models.CharField(blank=True, max_length=200)),
                ("done", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("sent_at", models.DateTimeField(help_text="When a worker was last told of it.", null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("heartbeat_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="host:pid of the process that claimed it.", max_length=100
                    ),
                ),
                ("cancel_asked_by", models.CharField(blank=True, max_length=200)),
                ("report", models.JSONField(default=list, help_text="What it did, in lines.")),
                ("error", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)), fields=["state", "id"], name="job_unfinished"
                    ),
                    models.Index(fields=["ended_at"], name="job_ended"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state__in", ["queued", "running"])),
                            models.Q(("ended_at__isnull", False), ("state__in", ["done", "failed", "cancelled"])),
                            _connector="OR",
                        ),
                        name="job_ended_when_finished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "running"), _negated=True),
                            models.Q(("heartbeat_at__isnull", False), ("started_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="job_running_has_a_worker",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="JobLine",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("text", models.CharField(max_length=500)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="lines", to="ops.job"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": (),
            },
        ),
    ]
