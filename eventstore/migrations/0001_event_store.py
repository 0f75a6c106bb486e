"""The event store: its tables, functions, triggers and privileges, each from its own file."""

from django.db import migrations

from eventstore.sql import read_sql

SQL_FILES = (
    "tables/events",
    "tables/streams",
    "tables/snapshots",
    "tables/idempotency_records",
    "tables/projections",
    "functions/lock_streams",
    "functions/hold_feed",
    "functions/append_events",
    "functions/feed_mark",
    "functions/version_at",
    "triggers/refuse_change",
    "triggers/events_are_append_only",
    "triggers/streams_stay",
    "privileges/application",
)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [migrations.RunSQL(read_sql(name)) for name in SQL_FILES]
