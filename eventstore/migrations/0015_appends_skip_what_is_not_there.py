"""Appends run no statement for new streams where there is none, and lock each stream by changing it.

For banks that exist already; new banks have had the function so from the start.
"""

from django.db import migrations

from eventstore.sql import replaced


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0014_appends_by_key")]

    operations = [replaced("append_events")]
