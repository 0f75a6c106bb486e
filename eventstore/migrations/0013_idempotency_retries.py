"""How often an idempotency key was sent again."""

from django.db import migrations

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0012_open_commands")]

    operations = [
        migrations.RunSQL(read_sql("tables/idempotency_retries"), "DROP TABLE idempotency_retries"),
    ]
