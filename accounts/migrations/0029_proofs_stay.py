"""The application adds proofs of the books, and alters and removes none; nor when the bank was installed, on which
`/health/ledger` rests, too."""

from django.db import migrations

SQL = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON ledger_proofs FROM banking_es_app;
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON django_migrations FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0028_ledger_days_beyond_a_bigint")]

    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
