-- What each read model is doing, and how far each shard of it has come.
CREATE TABLE projections (
    name       text        PRIMARY KEY,
    version    integer     NOT NULL,
    state      text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'failed')),
    reason     text        NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projection_checkpoints (
    projection text     NOT NULL,
    version    integer  NOT NULL,
    shard      smallint NOT NULL,
    position   bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, version, shard)
) WITH (fillfactor = 50);

-- Choices that are made once for a store: they are checked at start and never changed under running readers.
CREATE TABLE store_choices (
    name  text PRIMARY KEY,
    value text NOT NULL
);
