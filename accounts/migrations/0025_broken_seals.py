"""A proof tells which seals did not hold, and carries them on. (The default is the database's, as for `seals`.)"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0024_ledger_days")]

    operations = [
        migrations.AddField(
            model_name="ledgerproof",
            name="broken_seals",
            field=models.JSONField(
                db_default=models.Value([], output_field=models.JSONField()),
                default=list,
                help_text="Digests of seals that do not hold, or did not when they were last tried.",
            ),
        ),
    ]
