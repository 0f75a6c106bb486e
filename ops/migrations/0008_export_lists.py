"""Permission to export lists as files."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ops", "0007_emergency_procedures")]

    operations = [
        migrations.CreateModel(
            name="ListAccess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "lists",
                "verbose_name_plural": "lists",
                "permissions": [("export_lists", "Can export the lists that it may see as files")],
                "managed": False,
                "default_permissions": (),
            },
        ),
    ]
