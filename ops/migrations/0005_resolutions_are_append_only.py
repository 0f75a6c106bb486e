"""What was done by force stays on record: resolutions are only ever added, as audit entries are."""

from django.db import migrations

SQL = """
CREATE TRIGGER resolutions_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ops_resolution
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON ops_resolution FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("ops", "0004_detectors")]

    operations = [migrations.RunSQL(SQL, "DROP TRIGGER resolutions_are_append_only ON ops_resolution")]
