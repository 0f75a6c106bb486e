"""Imports, and who may see and stop them. A refusal stays as it was written, until its import is forgotten."""

import django.db.models.deletion
from django.db import migrations, models

from accounts.roles import grant_roles

SQL = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE TRUNCATE ON imports FROM banking_es_app;
        REVOKE UPDATE, TRUNCATE ON import_refusals FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0016_roles_jobs_and_approvals"),
        ("accounts", "0018_roles_sign_in"),
        ("eventstore", "0014_appends_by_key"),
        ("ops", "0025_preferences"),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        help_text="Whose keys its commands have, as in idempotency records.", max_length=100
                    ),
                ),
                ("key", models.CharField(max_length=200)),
                (
                    "position",
                    models.BigIntegerField(
                        help_text="Lines that were taken, blank ones included; never again executed."
                    ),
                ),
                (
                    "digest",
                    models.BinaryField(
                        help_text="SHA-256 over the digest before it and the line, for each line taken."
                    ),
                ),
                ("executed", models.BigIntegerField(help_text="Lines whose command was executed.")),
                ("refused", models.BigIntegerField()),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "finished_at",
                    models.DateTimeField(help_text="When the end of the file had been taken.", null=True),
                ),
                (
                    "stopped_by",
                    models.CharField(blank=True, help_text="Staff who stopped it; empty: nobody.", max_length=200),
                ),
            ],
            options={
                "db_table": "imports",
                "ordering": ["-id"],
                "permissions": [("manage_import", "Can stop imports and let them go on")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["scope", "id"], name="imports_scope_id"),
                    models.Index(fields=["updated_at"], name="imports_updated_at"),
                ],
                "constraints": [models.UniqueConstraint(fields=("scope", "key"), name="imports_scope_key")],
            },
        ),
        migrations.CreateModel(
            name="ImportRefusal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("line", models.BigIntegerField(help_text="Its number in the file, from 1 on.")),
                ("code", models.CharField(max_length=60)),
                ("message", models.TextField()),
                ("field", models.CharField(blank=True, max_length=100)),
                ("extra", models.JSONField(default=dict)),
                (
                    "of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refusals",
                        to="accounts.import",
                    ),
                ),
            ],
            options={
                "db_table": "import_refusals",
                "ordering": ["line"],
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("of", "line"), name="import_refusals_line")],
            },
        ),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
        migrations.RunPython(grant_roles, migrations.RunPython.noop),
    ]
