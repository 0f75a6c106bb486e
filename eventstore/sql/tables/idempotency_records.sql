-- What a caller's key led to. Written in the transaction of the events, so that neither exists without the other.
CREATE TABLE idempotency_records (
    scope        text        NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
    fingerprint  bytea       NOT NULL CHECK (octet_length(fingerprint) = 32),
    command_id   uuid        NOT NULL,
    aggregate_id uuid        NOT NULL,
    result       jsonb       NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX idx_idempotency_records_created_at ON idempotency_records USING brin (created_at);
