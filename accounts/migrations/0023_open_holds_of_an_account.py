"""The open holds of an account are found without reading those that have ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0022_holds")]

    operations = [
        migrations.AddIndex(
            "hold",
            models.Index(
                fields=["account_id", "-version"], condition=models.Q(status="open"), name="holds_open_account"
            ),
        ),
    ]
