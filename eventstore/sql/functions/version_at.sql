-- The version at which a stream stood at a moment; 0 before its first event.
-- Versions have no holes and times do not run backwards within a stream, so halving finds it in a few look-ups.
CREATE FUNCTION version_at(stream_id uuid, moment timestamptz)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = public, pg_temp
AS $$
DECLARE
    _low  bigint := 0;
    _high bigint;
    _mid  bigint;
BEGIN
    SELECT s.version INTO _high FROM streams s WHERE s.aggregate_id = version_at.stream_id;
    _high := coalesce(_high, 0);
    WHILE _low < _high LOOP
        _mid := (_low + _high + 1) / 2;
        IF (SELECT e.timestamp FROM events e WHERE e.aggregate_id = version_at.stream_id AND e.version = _mid)
           <= version_at.moment
        THEN _low := _mid;
        ELSE _high := _mid - 1;
        END IF;
    END LOOP;
    RETURN _low;
END
$$;
