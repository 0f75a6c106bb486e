-- Only the relay has a use for it; whoever may read events may have it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        GRANT EXECUTE ON FUNCTION event_message(events) TO banking_es_app;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION event_message(events) FROM PUBLIC;
