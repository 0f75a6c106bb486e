"""The store's pages: events, streams, idempotency records, projections. All of them are read-only, for everyone."""

from eventstore.admin import events, idempotency, projections, streams

__all__ = ["events", "idempotency", "projections", "streams"]
