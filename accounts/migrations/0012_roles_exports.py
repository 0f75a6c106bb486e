"""The roles again: supervisors and auditors may export lists."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_roles_emergency"), ("ops", "0008_export_lists")]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
