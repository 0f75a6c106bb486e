"""The relay's lease and checkpoint."""

from django.db import migrations

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0003_read_models")]

    operations = [migrations.RunSQL(read_sql("tables/relay_state"))]
