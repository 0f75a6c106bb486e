"""What the amount of a hold is, now that a hold can be extended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0025_broken_seals")]

    operations = [
        migrations.AlterField(
            model_name="hold",
            name="amount",
            field=models.BigIntegerField(help_text="What was reserved in all, extensions included."),
        ),
    ]
