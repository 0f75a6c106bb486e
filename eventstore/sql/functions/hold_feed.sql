-- Announces an append: nothing above the sequence's present value is safe to read until this transaction ends.
--
-- Takes a shared advisory lock, released by the end of the transaction, whose key is the last position drawn by
-- anyone. It is taken before this transaction draws, so all that it draws lies above. Byte 7 of the key (0x0F)
-- is this lock's name among other advisory locks.
--
-- PL/pgSQL keeps its plan for the session; a function in SQL would be planned for each append.
CREATE FUNCTION hold_feed()
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET enable_seqscan = on -- a sequence has no index; its one row read against append_events() would look dear
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
                (x'0F00000000000000'::bigint) | (CASE WHEN q.is_called THEN q.last_value ELSE 0 END))
       FROM events_position_seq q;
END
$$;
