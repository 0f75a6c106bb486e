-- Locks the streams that exist among stream_ids, in id order, and returns their heads.
-- Every writer takes its locks here or in append_events(), in the same order: hence no deadlock.
CREATE FUNCTION lock_streams(stream_ids uuid[])
RETURNS TABLE (aggregate_id uuid, version bigint, head_hash bytea, last_timestamp timestamptz)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = off -- the plan is kept for the session, and may be made while the table is still small
AS $$
BEGIN
    RETURN QUERY
    SELECT s.aggregate_id, s.version, s.head_hash, s.last_timestamp
      FROM streams s
     WHERE s.aggregate_id = ANY (lock_streams.stream_ids)
     ORDER BY s.aggregate_id
       FOR NO KEY UPDATE;
END
$$;
