"""Room in the pages of accounts, so that a changed balance stays in its page and touches no index."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("eventstore", "0002_models")]

    operations = [
        migrations.RunSQL("ALTER TABLE accounts SET (fillfactor = 70)", "ALTER TABLE accounts RESET (fillfactor)"),
    ]
