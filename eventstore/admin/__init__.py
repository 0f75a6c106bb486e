"""The store's pages: events, streams, idempotency records, projections: read-only, for everyone; and dead letters,
which can be resolved."""

from eventstore.admin import dead_letters, events, idempotency, kafka, projections, streams, tiles

__all__ = ["dead_letters", "events", "idempotency", "kafka", "projections", "streams", "tiles"]
