-- Appends the events of many streams at once, each stream at its expected version (0: it is new).
--
-- Stream arrays hold one entry a stream; event arrays one entry an event, in the order in which they happened.
-- Raises ES001 when a stream is not at its expected version, before any position is drawn; its detail is
-- {"aggregate_id", "expected", "actual"}. Returns the last position drawn.
--
-- This is the only caller of nextval('events_position_seq'): see feed_mark() for what that buys.
CREATE FUNCTION append_events(
    stream_ids        uuid[],
    aggregate_types   text[],
    expected_versions bigint[],
    new_versions      bigint[],
    head_hashes       bytea[],
    last_timestamps   timestamptz[],
    event_stream_ids  uuid[],
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
SET enable_seqscan = off -- the plans are kept for the session, and may be made while the tables are still small
AS $$
DECLARE
    _written  bigint;
    _inserted bigint;
    _mismatch record;
    _head     record;
    _last     bigint;
BEGIN
    -- Those that exist before those that are new, each in id order: all writers lock them so.
    -- One by one, by key: for a join the planner needs to know how many streams there are. Where statistics lag behind,
    -- as in a bank that grows from nothing, it read all of them for each append.
    _written := 0;
    FOR _head IN
        SELECT *
          FROM unnest(stream_ids, aggregate_types, expected_versions, new_versions, head_hashes, last_timestamps)
               AS n (id, aggregate_type, expected, new_version, head_hash, last_timestamp)
         WHERE n.expected > 0
         ORDER BY n.id
    LOOP
        UPDATE streams s
           SET version = _head.new_version, head_hash = _head.head_hash, last_timestamp = _head.last_timestamp
         WHERE s.aggregate_id = _head.id
           AND s.aggregate_type = _head.aggregate_type
           AND s.version = _head.expected;
        IF FOUND THEN
            _written := _written + 1;
        END IF;
    END LOOP;

    _inserted := 0;
    IF 0 = ANY (expected_versions) THEN
        INSERT INTO streams (aggregate_id, aggregate_type, version, head_hash, last_timestamp)
        SELECT n.id, n.aggregate_type, n.new_version, n.head_hash, n.last_timestamp
          FROM unnest(stream_ids, aggregate_types, expected_versions, new_versions, head_hashes, last_timestamps)
               AS n (id, aggregate_type, expected, new_version, head_hash, last_timestamp)
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
    SELECT nextval('events_position_seq'), n.stream_id, t.aggregate_type, n.version, n.event_id, n.event_type,
           n.schema_version, n.command_id, n.data, n.metadata, n.timestamp, n.hash
      FROM unnest(event_stream_ids, event_types, versions, event_ids, schema_versions, command_ids, datas,
                  metadatas, timestamps, hashes)
           WITH ORDINALITY AS n (stream_id, event_type, version, event_id, schema_version, command_id, data,
                                 metadata, timestamp, hash, ordinality)
      JOIN unnest(stream_ids, aggregate_types) AS t (id, aggregate_type) ON t.id = n.stream_id
     ORDER BY n.ordinality;
    GET DIAGNOSTICS _written = ROW_COUNT;
    IF _written <> cardinality(event_stream_ids) THEN
        RAISE EXCEPTION 'append_events: an event names a stream that is not in stream_ids'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT currval('events_position_seq') INTO _last;
    RETURN _last;
END
$$;
