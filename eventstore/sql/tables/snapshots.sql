-- A cache of folds. Never the arbiter of anything: one that fails its checksum is ignored.
CREATE TABLE snapshots (
    aggregate_id uuid        NOT NULL,
    state_schema smallint    NOT NULL,
    version      bigint      NOT NULL CHECK (version > 0),
    position     bigint      NOT NULL,
    state        jsonb       NOT NULL,
    checksum     bytea       NOT NULL,
    taken_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregate_id, state_schema, version)
);
