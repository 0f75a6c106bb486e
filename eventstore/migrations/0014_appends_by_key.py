"""Appends reach each stream by its key, and the functions of the write path keep their plans.

For banks that exist already; the files hold the functions as they are now, and new banks have had them from the start.
"""

from django.db import migrations

from eventstore.sql import replaced


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0013_idempotency_retries")]

    operations = [replaced(name) for name in ("hold_feed", "lock_streams", "append_events")]
