"""Interest: rates, months that are reckoned, what is due of them, and who of the staff may see and set what."""

from django.db import migrations, models

from accounts.roles import grant_roles

SQL = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON interest_rates, interest_months FROM banking_es_app;
        REVOKE DELETE, TRUNCATE ON interest FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0026_holds_extended"),
    ]

    operations = [
        migrations.CreateModel(
            name="InterestMonth",
            fields=[
                ("month", models.DateField(help_text="Its first day.", primary_key=True, serialize=False)),
                ("reckoned_at", models.DateTimeField()),
            ],
            options={
                "db_table": "interest_months",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Interest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.UUIDField()),
                ("month", models.DateField(help_text="Its first day.")),
                ("kind", models.CharField(choices=[("earned", "Earned"), ("owed", "Owed")], max_length=10)),
                ("currency", models.CharField(max_length=3)),
                (
                    "exact",
                    models.DecimalField(
                        decimal_places=0, help_text="Minor units times 365,000,000, before rounding.", max_digits=40
                    ),
                ),
                ("amount", models.BigIntegerField(help_text="What is booked of it, above zero.")),
                (
                    "status",
                    models.CharField(
                        choices=[("due", "Due"), ("booked", "Booked"), ("lapsed", "Lapsed")],
                        default="due",
                        max_length=10,
                    ),
                ),
                (
                    "tried_at",
                    models.DateTimeField(
                        help_text="Since when it may be in the books without our knowing.", null=True
                    ),
                ),
                ("transaction_id", models.UUIDField(null=True, unique=True)),
                ("settled_at", models.DateTimeField(help_text="When it was booked, or lapsed.", null=True)),
                (
                    "code",
                    models.CharField(
                        blank=True, help_text="Why it was refused when it was last tried.", max_length=60
                    ),
                ),
                ("message", models.TextField(blank=True)),
            ],
            options={
                "verbose_name_plural": "interest",
                "db_table": "interest",
                "ordering": ["-id"],
                "permissions": [("book_interest", "Can have interest booked")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["month", "id"], name="interest_month_id"),
                    models.Index(condition=models.Q(("status", "due")), fields=["id"], name="interest_due"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("account_id", "month", "kind"), name="interest_account_month"),
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="interest_amount"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("settled_at__isnull", False), ("status", "booked"), ("transaction_id__isnull", False)
                            ),
                            models.Q(
                                ("settled_at__isnull", False), ("status", "lapsed"), ("transaction_id__isnull", True)
                            ),
                            models.Q(
                                ("settled_at__isnull", True), ("status", "due"), ("transaction_id__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="interest_settled",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InterestRate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "product",
                    models.CharField(
                        choices=[("current", "Current account"), ("savings", "Savings account")], max_length=30
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("from_day", models.DateField()),
                ("earned", models.IntegerField(help_text="For balances above zero.")),
                ("owed", models.IntegerField(help_text="For balances below zero.")),
                ("set_at", models.DateTimeField(auto_now_add=True)),
                ("asked_by", models.CharField(max_length=200)),
                ("approved_by", models.CharField(max_length=200)),
                ("reason", models.CharField(max_length=500)),
                (
                    "approval_id",
                    models.UUIDField(help_text="The two persons' approval; none: demo data.", null=True, unique=True),
                ),
            ],
            options={
                "db_table": "interest_rates",
                "ordering": ["-id"],
                "permissions": [("set_interestrate", "Can set interest rates")],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("earned__gte", 0), ("earned__lte", 1000000), ("owed__gte", 0), ("owed__lte", 1000000)
                        ),
                        name="interest_rates_rates",
                    )
                ],
            },
        ),
        migrations.RunSQL(SQL, migrations.RunSQL.noop),
        migrations.RunPython(grant_roles, migrations.RunPython.noop),
    ]
