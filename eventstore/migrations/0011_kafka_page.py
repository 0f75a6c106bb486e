"""What the page of Kafka hangs on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0010_projection_control")]

    operations = [
        migrations.CreateModel(
            name="KafkaAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "Kafka",
                "verbose_name_plural": "Kafka",
                "managed": False,
                "default_permissions": (),
            },
        ),
    ]
