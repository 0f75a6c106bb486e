"""A cache in two tiers that is never wrong: memory of the process, then Redis, then the source of truth.

It knows no accounts: a floor above gives it a name, a codec and a `load` (see `wiring.tiered_cache`).

**What is promised.** A read that begins after a write was acknowledged, or after anybody was shown a version, shows
that version or a later one: with Redis up, down, hung, restarted empty or with old data, partitioned from some
processes, and with writers that died between their commit and any word to a cache.

**Why it holds.** A document is a thing at one version. A version, once committed, never changes, so a cached document
is never wrong; it can only be not the newest. Which one is the newest is decided in one place, the row in PostgreSQL,
whose version only rises. Two kinds of read rest on that:

- `get` asks that row on each read: one lookup by primary key for its version, and the document comes from memory if
  it is the one, else from a second lookup. The lookup is a statement of its own, on committed data, that begins
  after the read began; PostgreSQL shows a commit to all later statements before it acknowledges it. Redis takes no
  part: nothing that it says, has lost, or is late with can reach this reader, and to ask or to fill it would cost
  more than the lookup that is needed anyway. Threads share a lookup only if it has not begun when they come
  (`flights`). Two lookups where the document changed since this process saw it, one otherwise.
- `get_at_least(key, v)` is for a caller who states what it has seen. The answer is a document at v or later, which is
  the promise, word for word; memory and Redis may give it, and PostgreSQL is asked if neither can. It may lack what
  others did after v. For how long is not promised, but kept short: memory is trusted for a second, then the pointer
  in Redis is asked, which the cache service raises as it follows the feed, and which lives for two warm-ups at most.

So Redis carries hints and documents, and no truth. Its pointers only rise (a script compares and sets), so that a
slow writer cannot hide a newer version; one that is too low costs a lookup, and so does one whose document is gone.

**What else is kept in order.** Values in Redis are JSON with a schema; another schema, or damage, is a miss and is
removed. "There is no such document" is remembered for seconds, of a bounded number of keys, and spares only the
question to Redis: the source is still asked, so it cannot hide what was created meanwhile. A repair that leaves the
version alone is noticed by the document's stamp, which only the source gives.

**What is not promised.** If PostgreSQL is put back to an earlier state (a restored backup), `get` shows that state
and forgets the later one key by key; `get_at_least` may show the lost one, until then or for the life of a pointer:
empty the cache's Redis database (2) when you restore, or evict everything on its page in the admin.

Writers do nothing for the cache, and so cannot be slowed or failed by it. Redis is filled by the cache service, and
by those readers of `get_at_least` whom it could not serve.
"""
