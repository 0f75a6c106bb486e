-- Appends the events of many streams of one type at once, each stream at its expected version (0: it is new).
--
-- Stream arrays hold one entry a stream; event arrays one entry an event, in the order in which they happened, with the
-- place (from 1) of its stream among stream_ids: so no event can name a stream that is not checked.
-- Raises ES001 when a stream is not at its expected version, before any position is drawn; its detail is
-- {"aggregate_id", "expected", "actual"}. Returns the last position drawn.
--
-- This is the only caller of nextval('events_position_seq'): see feed_mark() for what that buys.
CREATE FUNCTION append_events(
    aggregate_type    text,
    stream_ids        uuid[],
    expected_versions bigint[],
    new_versions      bigint[],
    head_hashes       bytea[],
    last_timestamps   timestamptz[],
    event_streams     int[],
    event_types       text[],
    versions          bigint[],
    event_ids         uuid[],
    schema_versions   smallint[],
    command_ids       uuid[],
    datas             jsonb[],
    metadatas         jsonb[],
    timestamps        timestamptz[],
    hashes            bytea[]
)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
-- Each stream is reached by its key. The plans are kept for the session, and may be made while the tables are still
-- small, or statistics lag behind, as in a bank that grows from nothing: then all streams would be read for each append.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    _written  bigint;
    _inserted bigint;
    _mismatch record;
BEGIN
    -- Those that exist before those that are new, each in id order: all writers lock them so.
    UPDATE streams s
       SET version = n.new_version, head_hash = n.head_hash, last_timestamp = n.last_timestamp
      FROM unnest(stream_ids, expected_versions, new_versions, head_hashes, last_timestamps)
           AS n (id, expected, new_version, head_hash, last_timestamp)
     WHERE s.aggregate_id = n.id
       AND s.aggregate_type = append_events.aggregate_type
       AND s.version = n.expected
       AND n.expected > 0;
    GET DIAGNOSTICS _written = ROW_COUNT;

    _inserted := 0;
    IF 0 = ANY (expected_versions) THEN
        INSERT INTO streams (aggregate_id, aggregate_type, version, head_hash, last_timestamp)
        SELECT n.id, append_events.aggregate_type, n.new_version, n.head_hash, n.last_timestamp
          FROM unnest(stream_ids, expected_versions, new_versions, head_hashes, last_timestamps)
               AS n (id, expected, new_version, head_hash, last_timestamp)
         WHERE n.expected = 0
         ORDER BY n.id
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS _inserted = ROW_COUNT;
    END IF;

    IF _written + _inserted <> cardinality(stream_ids) THEN
        -- A row that this very call has written stands at its new version: what is left is the mismatch.
        SELECT n.id, n.expected, s.version AS actual
          INTO _mismatch
          FROM unnest(stream_ids, expected_versions, head_hashes) AS n (id, expected, head_hash)
          LEFT JOIN streams s ON s.aggregate_id = n.id
         WHERE s.head_hash IS DISTINCT FROM n.head_hash
         ORDER BY n.id
         LIMIT 1;
        RAISE EXCEPTION 'stream % is not at version %', _mismatch.id, _mismatch.expected
            USING ERRCODE = 'ES001',
                  DETAIL = json_build_object(
                      'aggregate_id', _mismatch.id,
                      'expected', _mismatch.expected,
                      'actual', coalesce(_mismatch.actual, 0))::text;
    END IF;

    PERFORM hold_feed();

    INSERT INTO events (
        position, aggregate_id, aggregate_type, version, event_id, event_type, schema_version,
        command_id, data, metadata, timestamp, hash)
    SELECT nextval('events_position_seq'), stream_ids[n.stream], append_events.aggregate_type, n.version, n.event_id,
           n.event_type, n.schema_version, n.command_id, n.data, n.metadata, n.timestamp, n.hash
      FROM unnest(event_streams, event_types, versions, event_ids, schema_versions, command_ids, datas,
                  metadatas, timestamps, hashes)
           WITH ORDINALITY AS n (stream, event_type, version, event_id, schema_version, command_id, data,
                                 metadata, timestamp, hash, ordinality)
     ORDER BY n.ordinality;

    RETURN currval('events_position_seq');
END
$$;
