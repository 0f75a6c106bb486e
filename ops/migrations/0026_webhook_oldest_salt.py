"""The secret that counted before the first of several replacements, which still signs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0025_preferences")]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="oldest_salt",
            field=models.BinaryField(max_length=40, null=True),
        ),
    ]
