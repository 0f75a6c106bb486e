"""What takes two persons. What was asked for stays as it was asked, and a decision is made once: the database holds
to it, whatever the code does."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

SQL = """
CREATE FUNCTION refuse_approval_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'approvals stay on record' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.action, NEW.subject, NEW.command, NEW.digest, NEW.preview, NEW.versions, NEW."limit",
        NEW.asked_by, NEW.asker_id, NEW.asked_at, NEW.reason, NEW.expires_at)
       IS DISTINCT FROM
       (OLD.id, OLD.action, OLD.subject, OLD.command, OLD.digest, OLD.preview, OLD.versions, OLD."limit",
        OLD.asked_by, OLD.asker_id, OLD.asked_at, OLD.reason, OLD.expires_at) THEN
        RAISE EXCEPTION 'what was asked for does not change' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state <> 'pending' AND (
        (NEW.decided_by, NEW.decider_id, NEW.decided_at) IS DISTINCT FROM
        (OLD.decided_by, OLD.decider_id, OLD.decided_at)
        OR (NEW.state <> OLD.state AND NOT (OLD.state = 'approved' AND NEW.state = 'stale'))
        OR (OLD.executed_at IS NOT NULL AND NEW.executed_at IS DISTINCT FROM OLD.executed_at)) THEN
        RAISE EXCEPTION 'a decision is made once' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER approvals_keep_what_was_asked
    BEFORE UPDATE OR DELETE ON ops_approval
    FOR EACH ROW EXECUTE FUNCTION refuse_approval_change();
CREATE TRIGGER approvals_stay
    BEFORE TRUNCATE ON ops_approval
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_approval_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE DELETE, TRUNCATE ON ops_approval FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("ops", "0010_jobs"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("action", models.CharField(max_length=60)),
                ("subject", models.CharField(max_length=200)),
                ("command", models.TextField(help_text="Exactly what would be done: canonical JSON.")),
                ("digest", models.CharField(help_text="SHA-256 of the command.", max_length=64)),
                ("preview", models.JSONField(help_text="What it would have done when it was asked for, in lines.")),
                ("versions", models.JSONField(help_text="What it was looked at on: it counts for these alone.")),
                ("limit", models.CharField(blank=True, help_text="Why it takes a second person.", max_length=200)),
                ("asked_by", models.CharField(max_length=200)),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
                ("reason", models.TextField()),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting"),
                            ("approved", "Approved"),
                            ("refused", "Refused"),
                            ("stale", "Stale"),
                            ("withdrawn", "Withdrawn"),
                            ("expired", "Expired"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("decided_by", models.CharField(blank=True, max_length=200)),
                ("decided_at", models.DateTimeField(null=True)),
                ("decision_reason", models.TextField(blank=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "–"),
                            ("done", "Done"),
                            ("failed", "Not done"),
                            ("collect", "Waits for who asked"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("result", models.JSONField(default=list, help_text="What came of it, in lines.")),
                ("result_url", models.CharField(blank=True, max_length=300)),
                ("executed_at", models.DateTimeField(null=True)),
                (
                    "asker",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "decider",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("decide_approval", "Can approve or refuse what others ask for")],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["state", "id"], name="approval_state_id")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("decided_by", models.F("asked_by")), _negated=True),
                        name="approval_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("asker", None),
                            ("decider", None),
                            models.Q(("decider", models.F("asker")), _negated=True),
                            _connector="OR",
                        ),
                        name="approval_by_another_user",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["approved", "refused"]), _negated=True),
                            models.Q(models.Q(("decided_by", ""), _negated=True), ("decided_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="approval_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("executed_at", None), ("state__in", ["approved", "stale"]), _connector="OR"
                        ),
                        name="approval_before_execution",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "pending")),
                        fields=("action", "digest"),
                        name="approval_asked_once_at_a_time",
                    ),
                ],
            },
        ),
        migrations.RunSQL(SQL, "DROP FUNCTION refuse_approval_change() CASCADE"),
    ]
