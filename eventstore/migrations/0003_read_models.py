"""Dead letters, and tables of the next generation of a read model beside those of the active one."""

from django.db import migrations

from eventstore.sql import read_sql

SQL_FILES = ("tables/dead_letters", "functions/shadow_tables", "privileges/read_models")


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0002_models")]

    operations = [
        *(migrations.RunSQL(read_sql(name)) for name in SQL_FILES),
        migrations.RunSQL("INSERT INTO read_model_tables VALUES ('snapshots')"),
    ]
