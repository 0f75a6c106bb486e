"""The roles again: who may see the running software, and who may clean up after it."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_roles_webhooks"),
        ("ops", "0006_operations_access"),
    ]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
