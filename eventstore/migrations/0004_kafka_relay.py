"""The relay's lease and checkpoint, and the text of its messages."""

from django.db import migrations

from eventstore.sql import read_sql

SQL_FILES = ("tables/relay_state", "functions/event_message", "privileges/relay")


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0003_read_models")]

    operations = [migrations.RunSQL(read_sql(name)) for name in SQL_FILES]
