-- The application fills shadow tables and asks for the swap; it creates and drops nothing itself.
REVOKE EXECUTE ON FUNCTION require_read_model_table(text), create_shadow(text), swap_table(text, text, text),
    drop_shadow(text) FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        GRANT USAGE ON SCHEMA shadow, previous TO banking_es_app;
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON read_model_tables FROM banking_es_app;
        GRANT EXECUTE ON FUNCTION create_shadow(text), swap_table(text, text, text), drop_shadow(text)
            TO banking_es_app;
    END IF;
END
$$;
