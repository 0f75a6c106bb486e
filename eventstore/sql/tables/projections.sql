-- What each read model is doing, and how far each shard of it has come.
--
-- A generation is one filling of a read model's tables: a rebuild fills the next one beside the active one.
CREATE TABLE projections (
    name              text        PRIMARY KEY,
    code_version      integer     NOT NULL,
    active_generation integer     NOT NULL DEFAULT 1,
    state             text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'failed')),
    reason            text        NOT NULL DEFAULT '',
    changed_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projection_checkpoints (
    projection text     NOT NULL,
    generation integer  NOT NULL,
    shard      smallint NOT NULL,
    position   bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, generation, shard)
) WITH (fillfactor = 50);

-- Choices that are made once for a store: they are checked at start and never changed under running readers.
CREATE TABLE store_choices (
    name  text PRIMARY KEY,
    value text NOT NULL
);
