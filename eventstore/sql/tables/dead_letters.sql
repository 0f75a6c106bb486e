-- Events that a read model could not take, the later ones of their streams parked behind them, and messages that
-- could not be read at all. Resolved letters stay on record.
CREATE TABLE dead_letters (
    id                   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state                text        NOT NULL
                         CHECK (state IN ('failed', 'parked', 'applied', 'discarded', 'superseded', 'unreadable')),
    projection           text        NOT NULL,
    generation           integer     NOT NULL,
    position             bigint,
    aggregate_id         uuid,
    version              bigint,
    event_type           text        NOT NULL DEFAULT '',
    attempts             integer     NOT NULL DEFAULT 0,
    error                text        NOT NULL DEFAULT '',
    traceback            text        NOT NULL DEFAULT '',
    created_at           timestamptz NOT NULL DEFAULT now(),
    last_attempt_at      timestamptz,
    resolved_at          timestamptz,
    resolved_by          text        NOT NULL DEFAULT '',
    reason               text        NOT NULL DEFAULT '',
    discard_requested_by text        NOT NULL DEFAULT '',
    published_at         timestamptz,
    topic                text        NOT NULL DEFAULT '',
    kafka_partition      integer,
    kafka_offset         bigint,
    message_key          bytea,
    message_value        bytea
);

CREATE UNIQUE INDEX idx_dead_letters_event ON dead_letters (projection, generation, position)
    WHERE state IN ('failed', 'parked');
CREATE UNIQUE INDEX idx_dead_letters_message ON dead_letters (topic, kafka_partition, kafka_offset)
    WHERE kafka_offset IS NOT NULL;
CREATE INDEX idx_dead_letters_blocked ON dead_letters (projection, generation, aggregate_id, position)
    WHERE state IN ('failed', 'parked');
CREATE INDEX idx_dead_letters_unpublished ON dead_letters (id) WHERE published_at IS NULL;
