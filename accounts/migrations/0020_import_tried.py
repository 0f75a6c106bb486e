"""Up to where an import may have executed lines, written down before it does."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0019_imports")]

    operations = [
        migrations.AddField(
            model_name="import",
            name="tried_to",
            field=models.BigIntegerField(  # also in the database: older code does not name it
                default=0, db_default=0, help_text="Up to here lines beyond the position may be executed."
            ),
        ),
        migrations.AddField(
            model_name="import",
            name="tried_at",
            field=models.DateTimeField(help_text="When the first of those beyond the position was begun.", null=True),
        ),
    ]
