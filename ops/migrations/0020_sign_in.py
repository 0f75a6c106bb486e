"""Second factors, sessions that say whose they are, waits after failures to sign in, and what was looked at."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("ops", "0008_export_lists"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="second_factor",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "salt",
                    models.BinaryField(help_text="The secret itself is not kept: see ops.derived.", max_length=40),
                ),
                (
                    "last_step",
                    models.BigIntegerField(
                        help_text="Of the last code that was taken: no older one counts any more."
                    ),
                ),
                (
                    "recovery_digests",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        help_text="Of the recovery codes that are left.",
                        size=None,
                    ),
                ),
                ("enrolled_at", models.DateTimeField()),
            ],
            options={
                "permissions": [("reset_second_factor", "Can reset the second factor of others")],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SignInLock",
            fields=[
                ("key", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("label", models.CharField(help_text="Whose failures these are, for people.", max_length=200)),
                ("failures", models.IntegerField()),
                ("failed_at", models.DateTimeField()),
                ("blocked_until", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "sign-in lock",
                "permissions": [("unlock_sign_in", "Can let somebody sign in who has failed too often")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="StaffSession",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("signed_in_at", models.DateTimeField(null=True)),
                (
                    "seen_at",
                    models.DateTimeField(help_text="When the person last did something, to the minute.", null=True),
                ),
                ("address", models.CharField(max_length=60)),
                ("browser", models.CharField(max_length=200)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Viewing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=200)),
                ("what", models.CharField(help_text="The list, such as accounts.account.", max_length=100)),
                (
                    "filters",
                    models.CharField(help_text="As they stood in the address; empty: none.", max_length=1000),
                ),
                ("hour", models.DateTimeField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("pages", models.IntegerField()),
                ("rows", models.BigIntegerField(help_text="Rows that were shown, all pages together.")),
                ("address", models.CharField(help_text="Where the last request came from.", max_length=60)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["what", "id"], name="viewing_what_id"),
                    models.Index(fields=["actor", "id"], name="viewing_actor_id"),
                    models.Index(fields=["last_at"], name="viewing_last_at"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("actor", "what", "hour", "filters"), name="one_viewing_an_hour")
                ],
            },
        ),
    ]
