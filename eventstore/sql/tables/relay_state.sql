-- How far the relay has written the feed to a topic, and which relay may go on.
--
-- Whoever takes the lease raises the epoch; a checkpoint of an older epoch changes no row. So of two relays that
-- both believe they lead, only the later one advances.
CREATE TABLE relay_state (
    topic           text        PRIMARY KEY,
    epoch           bigint      NOT NULL DEFAULT 0,
    holder          text        NOT NULL DEFAULT '',
    leased_until    timestamptz NOT NULL DEFAULT '-infinity',
    position        bigint      NOT NULL DEFAULT 0,
    shard_positions bigint[]    NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

COMMENT ON COLUMN relay_state.position IS 'Every event up to here was confirmed by the brokers.';
COMMENT ON COLUMN relay_state.shard_positions IS 'The last event up to there in each shard: element i + 1 for shard i.';
