"""The roles again: who sees what was looked at, and who lets somebody sign in again."""

from django.db import migrations

from accounts.roles import grant_roles


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_roles_exports"), ("ops", "0021_viewings_only_grow")]

    operations = [migrations.RunPython(grant_roles, migrations.RunPython.noop)]
