"""What a batch of commands needs before its rules can run is claimed, locked and read in one call."""

from django.db import migrations

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0011_kafka_page")]

    operations = [
        migrations.RunSQL(
            read_sql("functions/open_commands"),
            "DROP FUNCTION open_commands(uuid[], int[], int[], text[], text[], int)",
        )
    ]
