"""A proof says how many seals it was held against. (The default is the database's: older code does not name it.)"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_proof_permission"), ("accounts", "0020_import_tried")]

    operations = [
        migrations.AddField(
            model_name="ledgerproof",
            name="seals",
            field=models.IntegerField(db_default=0, help_text="How many seals it was held against, too."),
        ),
    ]
