"""The roles again: who may see webhooks and their deliveries, and who may stop and start them."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_read_model_tables"),
        ("ops", "0003_webhooks"),
    ]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
