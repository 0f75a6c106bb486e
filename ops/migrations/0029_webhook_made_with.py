"""The key that a webhook was made with; not known of those that were made before."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0028_audit_by_time")]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="made_with",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="webhooks",
                to="ops.apikey",
            ),
        ),
    ]
