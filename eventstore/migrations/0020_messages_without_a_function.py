"""The relay puts its messages together itself: for banks that exist already, which have a function for it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0016_appends_name_streams_by_place")]

    operations = [migrations.RunSQL("DROP FUNCTION IF EXISTS event_message(events)", migrations.RunSQL.noop)]
