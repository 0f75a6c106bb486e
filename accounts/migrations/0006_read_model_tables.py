"""The tables that a rebuild may replace."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_roles"), ("eventstore", "0003_read_models")]

    operations = [
        migrations.RunSQL(
            "INSERT INTO read_model_tables VALUES ('transactions'), ('journal_lines'), ('daily_balances')",
            "DELETE FROM read_model_tables WHERE name IN ('transactions', 'journal_lines', 'daily_balances')",
        ),
    ]
