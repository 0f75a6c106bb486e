"""What the pages of the cache and of the breakers hang on, and an index for incidents by kind."""

from django.db import migrations, models


def page(name: str, title: str) -> migrations.CreateModel:
    key = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")
    return migrations.CreateModel(
        name=name,
        fields=[("id", key)],
        options={
            "verbose_name": title,
            "verbose_name_plural": title,
            "managed": False,
            "default_permissions": (),
        },
    )


class Migration(migrations.Migration):
    dependencies = [("ops", "0012_samples")]

    operations = [
        page("CacheAccess", "cache"),
        page("BreakersAccess", "breakers and timeouts"),
        migrations.AddIndex("incident", models.Index(fields=["kind", "id"], name="incident_kind_id")),
    ]
