"""It is kept which version of a projection's code filled the tables that a rebuild replaced."""

from django.db import migrations

from eventstore.sql import read_sql


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0021_held_streams")]

    operations = [migrations.RunSQL(read_sql("tables/projection_versions"))]
