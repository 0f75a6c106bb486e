-- A person's pause holds until a person ends it; the state "paused" alone may also mean an event that is not known.
ALTER TABLE projections
    ADD COLUMN paused_by text        NOT NULL DEFAULT '',
    ADD COLUMN paused_at timestamptz;
