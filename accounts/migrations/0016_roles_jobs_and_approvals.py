"""The roles again: who sees jobs and approvals, who approves, and who rebuilds, pauses and proves."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0015_proof_permission"),
        ("ops", "0011_approvals"),
        ("eventstore", "0010_projection_control"),
    ]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
