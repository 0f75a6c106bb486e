-- The first of the two round trips of a batch of commands, in one call: claims its idempotency keys, locks its streams
-- in id order, and then, having waited, reads what the keys have led to and what time it is.
--
-- Each statement in here sees what was committed before it began: a record that another transaction wrote while
-- this one waited for its locks is found. `claimed_elsewhere` holds the indexes (from 0) of keys that another
-- transaction works on; `patience` is the longest wait for one lock, in milliseconds (NULL: the session's); `records` is a JSON array of [scope, key, fingerprint in hex, command, aggregate, result].
CREATE FUNCTION open_commands(
    stream_ids uuid[], guards_a int[], guards_b int[], scopes text[], keys text[], patience int)
RETURNS TABLE (
    ids               uuid[],
    versions          bigint[],
    head_hashes       bytea[],
    last_timestamps   timestamptz[],
    claimed_elsewhere bigint[],
    records           text,
    at                timestamptz
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET enable_seqscan = off -- the plans are kept for the session, and may be made while the tables are still small
AS $$
BEGIN
    IF patience IS NOT NULL THEN
        PERFORM set_config('lock_timeout', patience::text, true);
    END IF;

    claimed_elsewhere := ARRAY(
        SELECT k.ordinality - 1
          FROM unnest(guards_a, guards_b) WITH ORDINALITY AS k (a, b, ordinality)
         WHERE NOT pg_try_advisory_xact_lock(k.a, k.b));

    SELECT array_agg(s.aggregate_id), array_agg(s.version), array_agg(s.head_hash), array_agg(s.last_timestamp)
      INTO ids, versions, head_hashes, last_timestamps
      FROM lock_streams(open_commands.stream_ids) AS s;

    SELECT json_agg(json_build_array(
               r.scope, r.key, encode(r.fingerprint, 'hex'), r.command_id, r.aggregate_id, r.result))::text
      INTO records
      FROM unnest(open_commands.scopes, open_commands.keys) AS k (scope, key)
     CROSS JOIN LATERAL ( -- key by key, whatever the planner believes of the table's size
               SELECT * FROM idempotency_records i WHERE i.scope = k.scope AND i.key = k.key LIMIT 1) AS r;

    at := clock_timestamp();
    RETURN NEXT;
END
$$;
REVOKE EXECUTE ON FUNCTION open_commands(uuid[], int[], int[], text[], text[], int) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_es_app') THEN
        GRANT EXECUTE ON FUNCTION open_commands(uuid[], int[], int[], text[], text[], int) TO banking_es_app;
    END IF;
END
$$;
