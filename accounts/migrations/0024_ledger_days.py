"""What each ledger account moved on a day, and who of the staff may see it."""

from django.db import migrations, models

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0023_open_holds_of_an_account"),
        ("eventstore", "0022_versions_of_replaced_tables"),
        ("ops", "0029_webhook_made_with"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "ledger_account",
                    models.CharField(help_text="One of the bank's own, or “customers”.", max_length=60),
                ),
                ("credits", models.BigIntegerField(help_text="Sum of the day's credits, zero or more.")),
                ("debits", models.BigIntegerField(help_text="Sum of the day's debits, zero or less.")),
                ("lines", models.BigIntegerField(help_text="How many lines of the journal these are.")),
            ],
            options={
                "verbose_name": "trial balance",
                "verbose_name_plural": "trial balance",
                "db_table": "ledger_days",
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "currency", "ledger_account"), name="ledger_days_day_account"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "INSERT INTO read_model_tables VALUES ('ledger_days')",
            "DELETE FROM read_model_tables WHERE name = 'ledger_days'",
        ),
        migrations.RunPython(grant_roles, migrations.RunPython.noop),
    ]
