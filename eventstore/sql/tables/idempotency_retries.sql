-- How often a key was sent again. Beside its record, which nobody may alter; gone some time after the last retry.
CREATE TABLE idempotency_retries (
    command_id uuid        PRIMARY KEY,
    replays    bigint      NOT NULL,
    mismatches bigint      NOT NULL,
    last_at    timestamptz NOT NULL
);
