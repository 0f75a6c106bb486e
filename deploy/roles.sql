-- Roles and rights of the bank's database. Plain SQL, safe to run again, sets no passwords.
--
--   banking_es_owner   owns the database and its schema and runs the migrations; may make no role, no database
--   banking_es_app     what the running bank signs in as: reads and writes rows, creates nothing; migrations
--                      take away what it must not do (an event is never updated or deleted) and grant it the
--                      functions it calls
--   PUBLIC             nothing
--
-- The launcher of `make run` applies this file itself. For a server of your own, as its administrator:
--
--   createdb banking_es
--   psql --dbname banking_es --set ON_ERROR_STOP=1 --file deploy/roles.sql
--   psql --dbname banking_es --command '\password banking_es_owner'
--   psql --dbname banking_es --command '\password banking_es_app'
--
-- (\password asks for it and sends only its hash), then give DATABASE_OWNER_URL to the migrations and
-- DATABASE_URL, with banking_es_app, to everything else.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_owner') THEN
        CREATE ROLE banking_es_owner LOGIN NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        CREATE ROLE banking_es_app LOGIN NOCREATEDB NOCREATEROLE;
    END IF;

    -- The statements on the database itself need its name, which they do not take from current_database().
    EXECUTE format('ALTER DATABASE %I OWNER TO banking_es_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO banking_es_app', current_database());
END
$$;

ALTER SCHEMA public OWNER TO banking_es_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO banking_es_app;

-- What the migrations will make.
ALTER DEFAULT PRIVILEGES FOR ROLE banking_es_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO banking_es_app;
ALTER DEFAULT PRIVILEGES FOR ROLE banking_es_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO banking_es_app;
-- Functions and types are PUBLIC's by PostgreSQL's own default, which only a statement without a schema takes back.
ALTER DEFAULT PRIVILEGES FOR ROLE banking_es_owner
    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
