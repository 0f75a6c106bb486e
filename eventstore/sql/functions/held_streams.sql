-- Those among stream_ids that another transaction holds at this moment. What is free is locked for an instant, until
-- the caller's statement is committed; nothing is waited for.
CREATE FUNCTION held_streams(stream_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off -- the plans are kept for the session, and may be made while the table is still small
AS $$
DECLARE
    free uuid[] := ARRAY(
        SELECT s.aggregate_id FROM streams s WHERE s.aggregate_id = ANY (stream_ids) FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
    RETURN ARRAY(
        SELECT s.aggregate_id
          FROM streams s
         WHERE s.aggregate_id = ANY (stream_ids) AND s.aggregate_id <> ALL (free));
END
$$;
REVOKE EXECUTE ON FUNCTION held_streams(uuid[]) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        GRANT EXECUTE ON FUNCTION held_streams(uuid[]) TO banking_es_app;
    END IF;
END
$$;
