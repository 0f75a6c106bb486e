"""What the admin's filters and its search by owner are served by."""

from django.db import migrations, models
from django.db.models.functions import Collate, Lower


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_ledger_proofs")]

    operations = [
        migrations.AddIndex(
            model_name="account",
            index=models.Index(fields=["status", "id"], name="accounts_status_id"),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(fields=["product", "id"], name="accounts_product_id"),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(Collate(Lower("owner"), "C"), "id", name="accounts_owner_search"),
        ),
    ]
