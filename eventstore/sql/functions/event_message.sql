-- A stored event as the JSON text of its Kafka message. Put together from text, since data and metadata are JSON
-- already: a relay that parsed and wrote them again would spend most of its time on that.
CREATE FUNCTION event_message(e events)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT concat(
        '{"position":', e.position,
        ',"aggregate_id":"', e.aggregate_id,
        '","aggregate_type":', to_json(e.aggregate_type),
        ',"version":', e.version,
        ',"event_id":"', e.event_id,
        '","event_type":', to_json(e.event_type),
        ',"schema_version":', e.schema_version,
        ',"command_id":"', e.command_id,
        '","data":', e.data,
        ',"metadata":', e.metadata,
        ',"timestamp":', to_json(e.timestamp),
        ',"hash":"', encode(e.hash, 'hex'), '"}')
$$;
