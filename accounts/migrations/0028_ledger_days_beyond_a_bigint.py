"""Room for the sums of a day: a million of the largest movements are more than a bigint holds."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0027_interest")]

    operations = [
        migrations.AlterField(
            model_name="ledgerday",
            name="credits",
            field=models.DecimalField(
                decimal_places=0,
                help_text="Sum of the day's credits, zero or more: beyond a bigint, maybe.",
                max_digits=38,
            ),
        ),
        migrations.AlterField(
            model_name="ledgerday",
            name="debits",
            field=models.DecimalField(
                decimal_places=0, help_text="Sum of the day's debits, zero or less.", max_digits=38
            ),
        ),
    ]
