-- One row a stream: the row that writers lock, and the arbiter of versions.
CREATE TABLE streams (
    aggregate_id   uuid        PRIMARY KEY,
    aggregate_type text        NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    head_hash      bytea       NOT NULL CHECK (octet_length(head_hash) = 32),
    last_timestamp timestamptz NOT NULL
) WITH (fillfactor = 80);
