"""Permissions to replay and to recover one stream."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0004_kafka_relay")]

    operations = [
        migrations.AlterModelOptions(
            name="stream",
            options={
                "default_permissions": ("view",),
                "managed": False,
                "ordering": ["-aggregate_id"],
                "permissions": [
                    ("replay_stream", "Can replay a stream into the read models"),
                    ("recover_stream", "Can recover a stream from its snapshot"),
                ],
            },
        ),
    ]
