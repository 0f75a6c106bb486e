-- The application's role reads the books and writes them through append_events() alone.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON events, streams FROM banking_es_app;
        REVOKE ALL ON SEQUENCE events_position_seq FROM banking_es_app;
        REVOKE UPDATE, TRUNCATE ON idempotency_records FROM banking_es_app;
        GRANT SELECT ON events, streams TO banking_es_app;
        GRANT EXECUTE ON FUNCTION
            lock_streams(uuid[]),
            append_events(text, uuid[], bigint[], bigint[], bytea[], timestamptz[], int[], text[], bigint[],
                          uuid[], smallint[], uuid[], jsonb[], jsonb[], timestamptz[], bytea[]),
            feed_mark(),
            version_at(uuid, timestamptz)
        TO banking_es_app;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION hold_feed() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lock_streams(uuid[]), feed_mark(), version_at(uuid, timestamptz),
    append_events(text, uuid[], bigint[], bigint[], bytea[], timestamptz[], int[], text[], bigint[],
                  uuid[], smallint[], uuid[], jsonb[], jsonb[], timestamptz[], bytea[])
FROM PUBLIC;
