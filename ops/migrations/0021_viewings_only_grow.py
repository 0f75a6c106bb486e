"""What was looked at stays on record: a row of it may count up and no more, and goes only after 90 days at least."""

from django.db import migrations

SQL = """
CREATE FUNCTION refuse_viewing_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (new.id, new.actor, new.what, new.filters, new.hour, new.first_at)
            = (old.id, old.actor, old.what, old.filters, old.hour, old.first_at)
            AND new.pages > old.pages AND new.rows >= old.rows AND new.last_at >= old.last_at THEN
            RETURN new;
        END IF;
    ELSIF TG_OP = 'DELETE' AND old.last_at < now() - interval '90 days' THEN
        RETURN old;
    END IF;
    RAISE EXCEPTION '% of % is refused: what was looked at stays on record', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER viewings_only_grow
    BEFORE UPDATE OR DELETE ON ops_viewing
    FOR EACH ROW EXECUTE FUNCTION refuse_viewing_change();

CREATE TRIGGER viewings_are_not_emptied
    BEFORE TRUNCATE ON ops_viewing
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_viewing_change();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE TRUNCATE ON ops_viewing FROM banking_es_app;
    END IF;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("ops", "0020_sign_in")]

    operations = [migrations.RunSQL(SQL, "DROP FUNCTION refuse_viewing_change() CASCADE")]
