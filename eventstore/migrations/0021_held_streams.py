"""Of a batch that waited in vain for a lock, which commands are to blame."""

from django.db import migrations

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0020_messages_without_a_function")]

    operations = [migrations.RunSQL(read_sql("functions/held_streams"), "DROP FUNCTION held_streams(uuid[])")]
