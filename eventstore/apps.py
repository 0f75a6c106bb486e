"""The event store as a Django app."""

from django.apps import AppConfig


class EventStoreConfig(AppConfig):
    name = "eventstore"
    verbose_name = "Event store"

    def ready(self) -> None:
        from eventstore import projections
        from eventstore.projections.snapshots import Snapshots

        projections.register(Snapshots())
