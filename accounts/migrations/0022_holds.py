"""Holds: money that is reserved, and who of the staff may do so."""

import django.db.models.expressions
from django.db import migrations, models

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0021_proofs_tell_of_seals"),
        ("eventstore", "0022_versions_of_replaced_tables"),
        ("ops", "0026_webhook_oldest_salt"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="account",
            options={
                "default_permissions": ("view",),
                "ordering": ["-id"],
                "permissions": [
                    ("open_account", "Can open accounts"),
                    ("deposit", "Can deposit"),
                    ("withdraw", "Can withdraw"),
                    ("transfer", "Can transfer"),
                    ("change_overdraft_limit", "Can change overdraft limits"),
                    ("freeze", "Can freeze accounts"),
                    ("unfreeze", "Can unfreeze accounts"),
                    ("close_account", "Can close accounts"),
                    ("reverse_transaction", "Can reverse transactions"),
                    ("place_hold", "Can place holds"),
                    ("capture_hold", "Can capture holds"),
                    ("release_hold", "Can release holds"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("account_id", models.UUIDField()),
                ("version", models.BigIntegerField(help_text="The account's version that placing it made.")),
                ("currency", models.CharField(max_length=3)),
                ("contra", models.CharField(help_text="Where a capture is booked.", max_length=60)),
                ("description", models.CharField(max_length=200)),
                ("amount", models.BigIntegerField(help_text="What was reserved at first.")),
                ("captured", models.BigIntegerField(help_text="What of it is booked.")),
                ("released", models.BigIntegerField(help_text="What of it was given up.")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("captured", "Captured"),
                            ("released", "Released"),
                            ("expired", "Expired"),
                        ],
                        max_length=10,
                    ),
                ),
                ("placed_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "holds",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["account_id", "-version"], name="holds_account"),
                    models.Index(
                        condition=models.Q(("status", "open")), fields=["expires_at", "id"], name="holds_open_expiry"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0), ("captured__gte", 0), ("released__gte", 0)),
                        name="holds_amounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                (
                                    "amount__gt",
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("captured"), "+", models.F("released")
                                    ),
                                ),
                                ("status", "open"),
                            ),
                            models.Q(
                                models.Q(("status", "open"), _negated=True),
                                (
                                    "amount",
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("captured"), "+", models.F("released")
                                    ),
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="holds_open_while_reserving",
                    ),
                ],
            },
        ),
        migrations.RunPython(grant_roles, migrations.RunPython.noop),
    ]
