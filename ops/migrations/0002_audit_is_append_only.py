"""Audit entries are only ever added: neither the application's role nor the table's owner may alter them."""

from django.db import migrations

SQL = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what was done stays on record', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ops_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON ops_auditentry FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("ops", "0001_initial")]

    operations = [migrations.RunSQL(SQL, "DROP FUNCTION refuse_audit_change() CASCADE")]
