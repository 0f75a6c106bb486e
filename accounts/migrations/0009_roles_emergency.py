"""The roles again: who may see incidents and what was done about them, and who carries out emergency procedures."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_roles_operations"),
        ("ops", "0007_emergency_procedures"),
        ("eventstore", "0005_repair_permissions"),
    ]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
