"""Permission to have the books proved."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0018_roles_sign_in")]

    operations = [
        migrations.AlterModelOptions(
            name="ledgerproof",
            options={
                "default_permissions": ("view",),
                "ordering": ["-id"],
                "permissions": [("verify_ledger", "Can have the books proved")],
            },
        ),
    ]
