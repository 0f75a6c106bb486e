-- The yardstick R: what PostgreSQL does when one function moves money, and nothing else is there.
CREATE TABLE balances (id int PRIMARY KEY, version bigint NOT NULL, balance bigint NOT NULL);
CREATE TABLE events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id int NOT NULL,
    version bigint NOT NULL,
    amount bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, version)
);
INSERT INTO balances SELECT id, 0, 100000000 FROM generate_series(1, 1000) id;

CREATE FUNCTION transfer(source int, target int, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    source_row balances; target_row balances;
BEGIN
    IF source < target THEN
        SELECT * INTO source_row FROM balances WHERE id = source FOR UPDATE;
        SELECT * INTO target_row FROM balances WHERE id = target FOR UPDATE;
    ELSE
        SELECT * INTO target_row FROM balances WHERE id = target FOR UPDATE;
        SELECT * INTO source_row FROM balances WHERE id = source FOR UPDATE;
    END IF;
    IF source_row.balance < amount THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    INSERT INTO events (account_id, version, amount)
         VALUES (source, source_row.version + 1, -amount), (target, target_row.version + 1, amount);
    UPDATE balances SET version = version + 1, balance = balance - amount WHERE id = source;
    UPDATE balances SET version = version + 1, balance = balance + amount WHERE id = target;
END $$;
