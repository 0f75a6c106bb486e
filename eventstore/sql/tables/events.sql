-- The books. Rows are only ever added, and only by append_events().
CREATE SEQUENCE events_position_seq AS bigint CACHE 1;

CREATE TABLE events (
    position       bigint      PRIMARY KEY,
    aggregate_id   uuid        NOT NULL,
    aggregate_type text        NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    event_id       uuid        NOT NULL,
    event_type     text        NOT NULL,
    schema_version smallint    NOT NULL CHECK (schema_version > 0),
    command_id     uuid        NOT NULL,
    data           jsonb       NOT NULL,
    metadata       jsonb       NOT NULL,
    timestamp      timestamptz NOT NULL,
    hash           bytea       NOT NULL CHECK (octet_length(hash) = 32)
);

ALTER SEQUENCE events_position_seq OWNED BY events.position;

CREATE UNIQUE INDEX idx_events_aggregate_id_version ON events (aggregate_id, version);
CREATE INDEX idx_events_timestamp ON events (timestamp);
CREATE INDEX idx_events_command_id ON events (command_id);
CREATE INDEX idx_events_event_type_position ON events (event_type, position);

COMMENT ON COLUMN events.position IS 'Order of the feed. Has holes (a rolled back append); says nothing of commit order.';
COMMENT ON COLUMN events.command_id IS 'The command that caused the event; all its events form one transaction.';
COMMENT ON COLUMN events.hash IS 'Chained over the stream: see eventstore/hashing.py.';
