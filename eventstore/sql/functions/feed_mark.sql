-- The highest position at or below which no event can appear any more: min(ceiling, in-flight floor).
--
-- The ceiling is read first, in a statement of its own: an append that starts after it draws above it. Then the
-- floor: the lowest position announced by hold_feed() in a transaction still open. PostgreSQL makes a commit
-- visible before it releases the locks, so a *new* statement that reads up to the mark misses nothing.
-- Call it on the primary, in READ COMMITTED, and read the events in a later statement.
CREATE FUNCTION feed_mark()
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    _ceiling bigint;
    _floor   bigint;
BEGIN
    SELECT CASE WHEN q.is_called THEN q.last_value ELSE 0 END INTO _ceiling FROM events_position_seq q;

    SELECT min(((l.classid::bigint & x'00FFFFFF'::bigint) << 32) | l.objid::bigint)
      INTO _floor
      FROM pg_locks l
     WHERE l.locktype = 'advisory'
       AND l.objsubid = 1
       AND l.classid::bigint >> 24 = 15
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());

    RETURN least(_ceiling, _floor);
END
$$;
