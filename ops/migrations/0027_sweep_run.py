"""When the last sweep was: the sign of life of beat and worker."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0026_webhook_oldest_salt")]

    operations = [
        migrations.CreateModel(
            name="SweepRun",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("holder", models.CharField(help_text="host:pid of the worker.", max_length=100)),
                ("at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="sweeprun_one_row")],
            },
        ),
    ]
