"""Events of an append name their streams by place, and all streams of an append are of one type.

For banks that exist already; new banks have had the function so from the start.
"""

from django.db import migrations

from eventstore.sql import read_sql, replaced

FORMER = """
    append_events(uuid[], text[], bigint[], bigint[], bytea[], timestamptz[], uuid[], text[], bigint[],
                  uuid[], smallint[], uuid[], jsonb[], jsonb[], timestamptz[], bytea[])
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0015_appends_skip_what_is_not_there")]

    operations = [
        migrations.RunSQL(f"DROP FUNCTION IF EXISTS {FORMER}", migrations.RunSQL.noop),
        replaced("append_events"),
        migrations.RunSQL(read_sql("privileges/application"), migrations.RunSQL.noop),
    ]
